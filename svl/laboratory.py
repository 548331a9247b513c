"""LightningCLI over the replica stack: parsing, the run directory, and what is written when a fit ends."""

from __future__ import annotations

import os
import re
import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console

import callbacks
import callbacks.history
from callbacks.checkpoint import AtomicCheckpointIO, CheckpointInterval
from svl import cluster, interventions, optim, tasks
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError, StorageError, in_full
from svl.explanation import NestedError, causes, explain
from svl.replicas import Replicas
from svl.results.run import CHECKPOINT, CKPT_PATH, FIGURE, FOLLOWED, RunDirectory, check_name, provenance
from svl.settings import (
    Target,
    TrainerSettings,
    check_checkpoint,
    check_experiment,
    check_target,
    check_trainer,
)
from svl.tracking import Tracking, tracker, upload
from svl.training.replica_module import ReplicaModule
from svl.training.team import TeamStrategy, rank

# Imported so that a config can name their classes without a module path.
_SHORT_NAMES = (callbacks, interventions, optim, tasks)


class Parser(LightningArgumentParser):
    """Says in one line what is wrong with a setting."""

    given: ClassVar[dict[str, Any]] = {}

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if not self.exit_on_error:
            raise NestedError(str(message), self) from ex
        raise explain(str(message), ex, self, self.given) from ex

    def format_help(self, *formatter: Any) -> str:
        """Without the dozens of Lightning's own classes that a setting could be."""
        return re.sub(r",\s+known\s+subclasses:\s[^)]*lightning[^)]*\)", ")", super().format_help(*formatter))


class Laboratory(LightningCLI):
    """``svl fit``, ``svl validate`` and ``svl test``.

    Args:
        given: every setting that the user gave, by dotted name.
        words: the command line as the user wrote it.
        added: callbacks beside those of the settings; they see each measurement.
    """

    exit_status = 0
    finished = False
    run_directory: RunDirectory
    wandb_run: WandbLogger | None = None

    def __init__(
        self, given: dict[str, Any], words: list[str], added: Sequence[pl.Callback] = (), **kwargs: Any
    ) -> None:
        self.given, self.words, self.added = given, words, added
        super().__init__(**kwargs)

    # Arguments --------------------------------------------------------------------------------------------------

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one that is asked for: making a parser takes a twentieth of a second."""
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

    def _set_seed(self) -> None:
        """Nothing to seed."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--experiment", type=str, default="fit", help="name under which runs are gathered")
        parser.add_argument("--runs", type=str, default="runs", help="folder of all run directories")
        parser.add_argument(
            "--run_id", type=str | None, default=None, help="name of the run directory; default: a time"
        )
        # What svl reproduce makes of a config; nothing for a command line.
        parser.add_argument("--figure", type=dict | None, default=None, help=SUPPRESS)
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=f"go on from a checkpoint: {CKPT_PATH}")
        parser.add_class_arguments(Replicas, "replicas")
        parser.add_class_arguments(Target, "target")
        parser.add_class_arguments(CheckpointInterval, "checkpoint")
        parser.add_class_arguments(Tracking, "wandb")
        parser.link_arguments("replicas", "model.replicas", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, with the settings at hand that an error is to name."""
        parsers: list[Any] = [parser, *self._subcommand_parsers.values()]
        try:
            for one in parsers:
                one.given = self.given
            self.check_groups(parsers[-1])
            super().parse_arguments(parser, args)
        finally:
            for one in parsers:
                one.given = {}

    def check_groups(self, parser: LightningArgumentParser) -> None:
        """Refuse one value where there is a group of settings, which the parser overlooks."""
        names = {action.dest for action in parser._actions}
        for group in sorted({name.partition(".")[0] for name in names if "." in name and not name.endswith(".help")}):
            if group in self.given:
                raise SettingError(group, self.given[group], f"a mapping with settings of {group}")

    def _parse_ckpt_path(self) -> None:
        """The command line decides, not what a checkpoint remembers of another one."""

    def instantiate_classes(self) -> None:
        """Build the objects; an error of theirs that is about a setting comes out as such."""
        try:
            super().instantiate_classes()
        except BaseException as error:
            self.leave_nothing()
            own = next((cause for cause in causes(error) if isinstance(cause, SettingError)), None)
            raise (in_full(own, self.given) if own else error) from None

    def _run_subcommand(self, subcommand: str) -> None:
        # A signal that comes while the results are being written is too late to stop anything.
        catching = self.checkpoint.catching_signals() if subcommand == "fit" else nullcontext()
        try:
            with catching:
                try:
                    super()._run_subcommand(subcommand)
                finally:
                    if self.wandb_run:
                        status = int(self.trainer.global_step < self.trainer.max_steps)
                        self.wandb_run.experiment.finish(exit_code=status)
        except BaseException as error:
            self.leave_nothing()
            if isinstance(error, OSError):
                raise StorageError(self.run_directory.path, error, self.what_is_left()) from error
            raise
        finally:
            self.run_directory.close()
        if self.exit_status and self.checkpoint.received and self.settings.ckpt_path == "auto":
            said = cluster.requeue(self.checkpoint.received)
            print(said, end="\n" if said else "", file=sys.stderr, flush=True)

    def what_is_left(self) -> str:
        """How to go on after the disk has failed."""
        path = self.run_directory.path / CHECKPOINT
        if not path.exists():
            return "nothing was trained"
        return f"the last checkpoint is whole: when that is mended, the same command goes on with --ckpt_path {path}"

    def leave_nothing(self) -> None:
        """Remove the run directory of a fit that never began."""
        if hasattr(self, "run_directory"):
            self.run_directory.discard()

    @property
    def settings(self) -> Any:
        """The subcommand's settings, instantiated."""
        return self.config_init[self.subcommand]

    # Making the trainer --------------------------------------------------------------------------------------------

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Check the whole experiment, then open the run directory and make the trainer that writes there."""
        trainer = self.settings.trainer
        check_trainer(trainer)
        check_experiment(self.settings.experiment)
        interval = min(trainer.log_every_n_steps, trainer.max_steps)
        self.model.prepare(self.datamodule, trainer.max_steps, interval)
        user_callbacks = trainer.callbacks or []
        check_target(self.settings.target, self.model, user_callbacks)
        self.run_directory = self.open_run_directory()
        if self.run_directory.checkpoint:
            self.finished = check_checkpoint(self.run_directory.checkpoint, self.model) >= trainer.max_steps
        target = self.settings.target
        history = callbacks.History(self.run_directory.path, target.metric, target.value)
        self.checkpoint = callbacks.Checkpoint(self.run_directory.path, history, self.settings.checkpoint)
        shown = [callbacks.Progress(history)] if trainer.enable_progress_bar and self.is_first else []
        config = {
            **vars(trainer),
            # The checkpoint after all that may ask for an end, which it makes the processes' common end.
            "callbacks": [*user_callbacks, history, *self.added, self.checkpoint, *shown],
            "plugins": [AtomicCheckpointIO()],
            "logger": trainer.logger or False if self.subcommand == "fit" and self.is_first else False,
            **self.devices(),
            "default_root_dir": str(self.run_directory.path),
            "log_every_n_steps": interval,
            "enable_model_summary": False,
            # A fit measures by its own clock.
            "limit_val_batches": 0 if self.subcommand == "fit" else None,
            **kwargs,
        }
        try:
            return pl.Trainer(**config)
        except (MisconfigurationException, ValueError) as error:
            key = "max_time" if "Timer(" in str(error) else "accelerator"
            reason = " ".join(str(error).split())
            raise SettingError(
                f"trainer.{key}", getattr(trainer, key), f"what this machine and Lightning allow ({reason})"
            ) from None

    def devices(self) -> dict[str, Any]:
        """What of the trainer's settings decides on processes; a measurement needs one."""
        given = self.settings.trainer.devices
        if self.subcommand != "fit":
            return {"devices": given[:1] if isinstance(given, list) else 1}
        if not self.is_team:
            return {}
        os.environ[FOLLOWED] = str(self.run_directory.path.absolute())
        return {"strategy": TeamStrategy()}

    @property
    def is_team(self) -> bool:
        """Whether the fit is on several devices."""
        given = self.settings.trainer.devices
        return self.subcommand == "fit" and (len(given) > 1 if isinstance(given, list) else given > 1)

    @property
    def is_first(self) -> bool:
        """Whether this process is the fit's only one, or the first of its team."""
        return not self.is_team or rank() == 0

    def resolved_config(self) -> str:
        """The whole config with every default, as YAML."""
        return self._parser(self.subcommand).dump(self.config[self.subcommand].clone(), skip_unset=False)

    def open_run_directory(self) -> RunDirectory:
        """A new run for a fit, the checkpoint's own for anything else."""
        folder = Path(self.settings.runs) / self.settings.experiment
        ckpt_path, run_id = self.settings.get("ckpt_path"), self.settings.run_id
        config = self.resolved_config()
        check_name(run_id)
        if not self.is_first:
            run = RunDirectory.follow(folder, run_id)
        elif ckpt_path:
            find = RunDirectory.resume if self.subcommand == "fit" else RunDirectory.measure
            run = find(folder, str(ckpt_path), config, run_id)
        elif self.subcommand == "fit":
            run = RunDirectory.create(folder, config, run_id)
        else:
            raise SettingError("ckpt_path", ckpt_path, CKPT_PATH)
        return run

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        checkpoint = self.run_directory.checkpoint
        kwargs = {"ckpt_path": str(checkpoint) if checkpoint else None, "weights_only": True}
        return {**super()._prepare_subcommand_kwargs(subcommand), **kwargs}

    # Fit and after ------------------------------------------------------------------------------------------------

    def fit(self, **kwargs: Any) -> None:
        """Train; stop at the end of a batch when a signal asks for it."""
        if self.settings.trainer.logger is None and not self.finished and self.is_first:
            self.trainer.logger = self.wandb_run = self.start_tracking()
        try:
            self.trainer.fit(**kwargs)
        except SystemExit:
            # Lightning's way to end at a second Ctrl-C.
            if self.checkpoint.received is None:
                raise

    def start_tracking(self) -> WandbLogger | None:
        """The fit's W&B run, with the config and what the run was made by."""
        config = {**yaml.safe_load(self.resolved_config()), "provenance": provenance(self.words)}
        measurements: list[Any] = [one for one in self.trainer.callbacks if isinstance(one, callbacks.Measurement)]  # type: ignore[attr-defined]
        names = [*self.model.stack.metrics, *(name for one in measurements for name in one.names(self.model))]
        return tracker(self.run_directory, self.settings.wandb, config, self.model.replicas.arms, names)

    def after_fit(self) -> None:
        """Write the results of a fit that has ended and print the table, the figure's and the run directory's path."""
        if not self.is_first:
            return
        path, step, steps = self.run_directory.path, self.trainer.global_step, self.trainer.max_steps
        received = self.checkpoint.received
        if step < steps:
            saved = torch.load(path / CHECKPOINT, weights_only=True)["global_step"] if received else step
            print(
                f"stopped at step {step:,} of {steps:,} by {received.name if received else 'a callback or max_time'};",
                end=" ",
            )
            print(f"to go on from step {saved:,}, give the same command with --ckpt_path {path / CHECKPOINT}")
            if received:
                self.exit_status = 128 + received
                print(path)
                return
        target = self.settings.target
        diverged = int((self.model.stack.record["diverged_at"] >= 0).sum())
        data = {"data_digest": self.datamodule.task.digest} if self.datamodule.task.digest else {}
        extra = {
            **data,
            "finished": step >= steps,
            "wall_seconds": round(self.checkpoint.wall_seconds, 3),
            "diverged": diverged,
            **provenance(self.words),
        }
        table = self.run_directory.finish(list(self.model.replicas.vary), target.metric, target.value, extra)
        if self.wandb_run:
            upload(self.wandb_run.experiment, self.run_directory)
        Console().print(table)
        if diverged:
            print(f"{diverged} of {len(self.model.replicas)} replicas diverged; they were frozen and are counted apart")
        print(f"figure: {path / FIGURE}.png\n{path}")

    def validate(self, **kwargs: Any) -> None:
        """Measure the checkpoint; the run directory stays as it is."""
        self.trainer.validate(**kwargs, verbose=False)
        self.print_measured()

    def test(self, **kwargs: Any) -> None:
        """As :meth:`validate`: the test set is the validation set."""
        self.trainer.test(**kwargs, verbose=False)
        self.print_measured()

    def print_measured(self) -> None:
        """A table with a row for each arm."""
        from svl.results import summary

        rows = callbacks.history.frame_of(self.model, self.trainer.global_step, self.model.measured)
        Console().print(summary.measured_table(rows, list(self.model.replicas.vary)))
