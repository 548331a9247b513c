"""One run of ``svl fit``, ``svl validate`` or ``svl test``: its settings, its objects, and the order of its steps."""

from __future__ import annotations

import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from svl import callbacks, cluster, garbage, interventions, optim, tasks
from svl.callbacks.checkpoint import CheckpointInterval
from svl.cli import checks, ending
from svl.cli.arguments import Given
from svl.cli.imports import check_modules
from svl.cli.places import forget_refusals, in_full, refusal
from svl.cli.resuming import change_settings
from svl.cli.settings import Target, TrainerSettings
from svl.cli.trainer import is_on_several_devices, make_trainer, train
from svl.cli.trainer_arguments import check_arguments
from svl.compat.lightning import checkpoint_intervals
from svl.compat.lightning_cli import CommandLine
from svl.console import console
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.results.provenance import provenance
from svl.results.run_directory import CKPT_PATH, RunDirectory, check_name
from svl.tracking import Tracker, Tracking, tracker
from svl.tracking import check as check_tracking
from svl.training.replica_module import ReplicaModule
from svl.training.team import rank

# Imported so that a config can name their classes without a module path.
_SHORT_NAMES = (callbacks, interventions, optim, tasks)
TRACKING = Literal["wandb", "tensorboard", "none"]
_GROUPS = {Replicas: "replicas", Target: "target", CheckpointInterval: "checkpoint", Tracking: "wandb"}
"""Settings that every fit has, in addition to those of the trainer, the model and the data."""
_PLACES = {**_GROUPS, TrainerSettings: "trainer", ReplicaModule: "model"}


class Session(CommandLine):
    """``svl fit``, ``svl validate`` and ``svl test``.

    Args:
        given: every setting that the user gave.
        words: the command line as the user wrote it.
        added: callbacks in addition to those of the settings; they see each measurement.
    """

    exit_status = 0
    finished = False
    run_directory: RunDirectory
    tracker: Tracker | None = None

    def __init__(self, given: Given, words: list[str], added: Sequence[pl.Callback] = (), **kwargs: Any) -> None:
        self.given, self.words, self.added = given, words, added
        super().__init__(**kwargs)

    # Settings ---------------------------------------------------------------------------------------------------

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the subcommand that is asked for: making a parser takes a twentieth of a second."""
        name = self.words[0]
        skipped = {"train_dataloaders", "val_dataloaders", "weights_only", "verbose", "ckpt_path"}
        return {name: LightningCLI.subcommands()[name] | skipped}

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(TrainerSettings, "trainer")
        parser.add_lightning_class_args(ReplicaModule, "model")
        # A default that a config shows, and whose settings can be given alone.
        parser.set_defaults({"model.optimizer": {"class_path": "svl.optim.SGD"}})
        parser.add_lightning_class_args(ReuseDataModule, "data", subclass_mode=True)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """No ``seed_everything``: every random number comes from ``replicas.first_seed`` and a counter."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--experiment", type=str, default="fit", help="name of the folder that gathers its runs")
        parser.add_argument("--runs", type=str, default="runs", help="folder of all run directories")
        parser.add_argument(
            "--run_id", type=str | None, default=None, help="name of the run directory; default: the time"
        )
        # Written by svl reproduce into its configs; not meant for a command line.
        parser.add_argument("--figure", type=dict | None, default=None, help=SUPPRESS)
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=f"checkpoint to resume: {CKPT_PATH}")
        where = "where the metrics are sent to, unless trainer.logger says so: W&B, a TensorBoard log, or nowhere"
        parser.add_argument("--tracking", type=TRACKING, default="wandb", help=where)
        for kind, group in _GROUPS.items():
            parser.add_class_arguments(kind, group)
        parser.link_arguments("replicas", "model.replicas", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line; while it is parsed, the parsers know the given settings, which errors quote."""
        check_arguments(self.given)
        outer: Any = parser
        inner: Any = self.subcommand_parser()
        try:
            outer.given = inner.given = self.given
            inner.check_given()
            super().parse_arguments(parser, args)
        except SettingError:
            raise
        except Exception:
            # A module of the user's that fails while it is imported can raise anything.
            check_modules(self.given)
            raise
        finally:
            outer.given = inner.given = Given()

    @property
    def settings(self) -> Any:
        """The subcommand's settings, instantiated."""
        return self.config_init[self.subcommand]

    def resolved_config(self) -> str:
        """The whole config with every default, as YAML."""
        return self.subcommand_parser().dump(self.config[self.subcommand].clone(), skip_unset=False)

    # Objects ----------------------------------------------------------------------------------------------------

    def instantiate_classes(self) -> None:
        """Build the objects; where a setting caused an error inside them, that :class:`SettingError` is raised."""
        forget_refusals()
        try:
            super().instantiate_classes()
        except BaseException as error:
            self.discard_run_directory()
            cause = refusal(error)
            if cause is None:
                raise
            # The placed error has this one as its cause.
            raise in_full(cause, self.config[self.subcommand], _PLACES)  # noqa: B904

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Check the whole experiment, then open the run directory and make the trainer that writes there."""
        self.check()
        settings, trainer = self.settings, self.settings.trainer
        self.run_directory = self.open_run_directory()
        if self.run_directory.checkpoint:
            self.finished = checks.check_checkpoint(self.run_directory.checkpoint, self.model) >= trainer.max_steps
            change_settings(self.run_directory, self.model, self.datamodule, self.resolved_config())
        if self.is_first:
            print("".join(f"data.task: {note}\n" for note in self.datamodule.task.notes), end="", file=sys.stderr)
        history = callbacks.History(self.run_directory.path, settings.target.metric, settings.target.value)
        self.checkpoint = callbacks.Checkpoint(self.run_directory.path, settings.checkpoint)
        given = trainer.callbacks or []
        for callback in given:
            if isinstance(callback, callbacks.StopAtTarget):
                callback.aim(settings.target.metric, settings.target.value)
        has_bar = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in given)
        is_shown = trainer.enable_progress_bar and self.is_first and not has_bar
        shown = [callbacks.Progress(history, settings.target.metric)] if is_shown else []
        # The checkpoint comes after every callback that may stop the fit, since it makes all processes stop together.
        ordered = [*given, history, *self.added, self.checkpoint, *shown]
        return make_trainer(trainer, ordered, self.run_directory.path, self.is_fit, self.is_first, **kwargs)

    def check(self) -> None:
        """Check the whole experiment, and build the stack.

        Raises:
            SettingError: for settings that do not fit together.
        """
        settings, trainer = self.settings, self.settings.trainer
        checks.check_trainer(trainer)
        if self.is_fit:
            checks.check_tracker(settings.tracking, trainer.logger)
        if self.is_fit and trainer.logger is None and settings.tracking == "wandb":
            check_tracking(settings.wandb)
        checks.check_experiment(settings.experiment)
        every, given = min(trainer.log_every_n_steps, trainer.max_steps), trainer.callbacks or []
        self.model.prepare(self.datamodule, trainer.max_steps, every, checkpoint_intervals(given))
        measured = self.metric_names(given)
        checks.check_target(settings.target, measured)
        checks.check_direction(settings.target, self.model.further_metrics)
        checks.check_monitors(given, measured, self.model.replicas.arm_labels)

    def metric_names(self, every: Sequence[pl.Callback]) -> list[str]:
        """Names of all metrics of the fit, with those of its measurements among the callbacks."""
        measurements = [callback for callback in every if isinstance(callback, callbacks.Measurement)]
        further = [name for measurement in measurements for name in measurement.names(self.model)]
        return [*self.model.metric_names, *further]

    @property
    def is_fit(self) -> bool:
        """Whether the subcommand trains."""
        return self.subcommand == "fit"

    @property
    def is_first(self) -> bool:
        """Whether this process is the fit's only one, or the first of several."""
        return not (self.is_fit and is_on_several_devices(self.settings.trainer)) or rank() == 0

    def open_run_directory(self) -> RunDirectory:
        """The run directory: a new one for a new fit, otherwise that of the checkpoint.

        Raises:
            SettingError: if there is no such checkpoint, or the run directory cannot be used.
        """
        folder = Path(self.settings.runs) / self.settings.experiment
        ckpt_path, run_id = self.settings.get("ckpt_path"), self.settings.run_id
        config = self.resolved_config()
        check_name(run_id)
        if not self.is_first:
            return RunDirectory.follow(folder, run_id)
        if ckpt_path:
            find = RunDirectory.resume if self.is_fit else RunDirectory.measure
            return find(folder, str(ckpt_path), config, run_id)
        if self.is_fit:
            return RunDirectory.create(folder, config, run_id)
        raise SettingError("ckpt_path", ckpt_path, CKPT_PATH)

    def discard_run_directory(self) -> None:
        """Remove the run directory if the fit never began: a directory with a checkpoint stays."""
        if hasattr(self, "run_directory"):
            self.run_directory.discard()

    # Running ----------------------------------------------------------------------------------------------------

    def subcommand_arguments(self, subcommand: str) -> dict[str, Any]:
        checkpoint = self.run_directory.checkpoint
        more = {"ckpt_path": str(checkpoint) if checkpoint else None, "weights_only": True}
        return {**super().subcommand_arguments(subcommand), **more}

    def run_subcommand(self, subcommand: str) -> None:
        """Run it; the run directory is closed whatever happens, and the SLURM job requeued if a signal ended it."""
        garbage.resume()
        # A signal that comes while the results are written is too late to stop anything.
        catching = self.checkpoint.catching_signals() if self.is_fit else nullcontext()
        try:
            with catching:
                try:
                    super().run_subcommand(subcommand)
                finally:
                    if self.tracker:
                        self.tracker.end(self.run_directory, self.is_trained)
        except BaseException as error:
            self.discard_run_directory()
            ending.explain_failure(error, self.run_directory.path, self.is_trained)
            raise
        finally:
            self.run_directory.close()
        if self.exit_status and self.checkpoint.received and self.settings.ckpt_path == "auto":
            message = cluster.requeue(self.checkpoint.received)
            if message:
                print(message, file=sys.stderr, flush=True)

    @property
    def is_trained(self) -> bool:
        """Whether the fit has reached its last step."""
        return self.is_fit and self.trainer.global_step >= self.trainer.max_steps

    def fit(self, **kwargs: Any) -> None:
        """Train; stop at the end of a batch when a signal asks for it."""
        if self.settings.trainer.logger is None and not self.finished and self.is_first:
            self.trainer.logger = self.tracker = self.start_tracking()  # type: ignore[assignment]
        train(self.trainer, self.checkpoint, self.settings.trainer.callbacks or [], **kwargs)

    def start_tracking(self) -> Tracker | None:
        """Start the fit's W&B run or its TensorBoard log, with the config and the provenance of the fit."""
        if self.settings.tracking == "none":
            return None
        config = {**yaml.safe_load(self.resolved_config()), "provenance": provenance(self.words)}
        arms = self.model.replicas.arms
        if self.settings.tracking == "tensorboard":
            from svl.tensorboard import TensorBoardTracker

            return TensorBoardTracker(self.run_directory, config, arms)
        names = self.metric_names(self.trainer.callbacks)  # type: ignore[attr-defined]
        return tracker(self.run_directory, self.settings.wandb, config, arms, names)

    def after_fit(self) -> None:
        """Write the results of a fit that has ended by itself; say how to resume one that was stopped."""
        if not self.is_first:
            return
        checkpoint = self.checkpoint
        if not self.is_trained:
            ending.print_stopped(self.trainer, checkpoint, self.run_directory.path)
            if checkpoint.received:
                self.exit_status = 128 + checkpoint.received
                self.discard_run_directory()
                return
        target = self.settings.target
        is_written = ending.write_results(
            self.trainer, self.run_directory, target, self.words, checkpoint, self.tracker
        )
        self.exit_status = int(not is_written)

    def validate(self, **kwargs: Any) -> None:
        """Evaluate the checkpoint; the run directory stays as it is."""
        self.trainer.validate(**kwargs, verbose=False)
        self.print_measured()

    def test(self, **kwargs: Any) -> None:
        """Same as :meth:`validate`: the test set is the validation set."""
        self.trainer.test(**kwargs, verbose=False)
        self.print_measured()

    def print_measured(self) -> None:
        """Print a table with a row for each arm."""
        from svl.results import tables

        rows = callbacks.history.frame_of(self.model, self.trainer.global_step, self.model.measured)
        console().print(tables.measured_table(rows, list(self.model.replicas.vary)))
