"""LightningCLI over the replica stack: parsing, the run directory, and what is written when a fit ends."""

from __future__ import annotations

import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

import callbacks
from callbacks.checkpoint import AtomicCheckpointIO
from svl import arguments, optim, tasks
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.results.run import FIGURE, RunDirectory, provenance
from svl.training.replica_module import ReplicaModule

# Imported so that a config can name their classes without a module path.
_SHORT_NAMES = (callbacks, optim, tasks)


@dataclass
class Target:
    """What counts as learned.

    Args:
        metric: column of the history.
        value: to be reached from below (accuracies) or from above (losses).
    """

    metric: str = "val/accuracy"
    value: float = 0.9


@dataclass
class CheckpointInterval:
    """How often ``checkpoints/last.ckpt`` is written.

    Args:
        every_n_seconds: in wall time.
        every_n_steps: in steps, in addition.
    """

    every_n_seconds: float = 60.0
    every_n_steps: int | None = None


@dataclass
class Tracking:
    """Weights & Biases.

    Args:
        mode: ``auto`` is online when somebody is logged in and offline otherwise.
        project: W&B project.
        entity: W&B team.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "svl"
    entity: str | None = None


class Parser(LightningArgumentParser):
    """Says in one line what is wrong with a setting."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if isinstance(ex, SettingError):
            raise ex
        raise arguments.explain(str(message), list(self.get_defaults(skip_validation=True).keys())) from None


class Laboratory(LightningCLI):
    """``svl fit``, ``svl validate`` and ``svl test``."""

    exit_status = 0

    # Arguments --------------------------------------------------------------------------------------------------

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        every = LightningCLI.subcommands()
        return {name: every[name] | {"train_dataloaders", "val_dataloaders"} for name in ("fit", "validate", "test")}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """No ``seed_everything``: every random number comes from ``replicas.first_seed`` and a counter."""

    def _set_seed(self) -> None:
        """Nothing to seed."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--experiment", type=str, default="fit", help="name under which runs are gathered")
        parser.add_argument("--runs", type=str, default="runs", help="folder of all run directories")
        parser.add_class_arguments(Replicas, "replicas")
        parser.add_class_arguments(Target, "target")
        parser.add_class_arguments(CheckpointInterval, "checkpoint")
        parser.add_class_arguments(Tracking, "wandb")
        parser.link_arguments("replicas", "model.replicas", apply_on="instantiate")

    # Making the trainer --------------------------------------------------------------------------------------------

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Check the whole experiment, then open the run directory and make the trainer that writes there."""
        settings = self.config[self.subcommand]
        steps, interval = settings.trainer.max_steps, settings.trainer.log_every_n_steps
        if not isinstance(steps, int) or steps < 1:
            raise SettingError("trainer.max_steps", steps, "the number of optimisation steps, at least 1")
        if interval is None or interval < 1:
            raise SettingError("trainer.log_every_n_steps", interval, "steps between two measurements, at least 1")
        interval = min(interval, steps)
        self.model.prepare(self.datamodule, steps, interval)
        self.check_target()
        folder = Path(settings.runs) / settings.experiment
        self.run_directory = self.open_run_directory(folder)
        history = callbacks.History(self.run_directory.path)
        self.checkpoint = callbacks.Checkpoint(self.run_directory.path, history, **vars(self.config_init[self.subcommand].checkpoint))
        config = dict(self.config_init[self.subcommand].trainer)
        config["callbacks"] = [*(config.get("callbacks") or []), history, self.checkpoint, callbacks.Progress(history)]
        config["plugins"] = [*_listed(config.get("plugins")), AtomicCheckpointIO()]
        config.update(default_root_dir=str(self.run_directory.path), log_every_n_steps=interval, **kwargs)
        if self.subcommand == "fit" and config.get("logger") is None:
            config["logger"] = self.tracker()
        if self.subcommand == "fit":
            config["limit_val_batches"] = 0
        return self.trainer_class(**config)

    def check_target(self) -> None:
        """Refuse a target that this task never measures."""
        target = self.config_init[self.subcommand].target
        known = ["train/loss", "val/loss", *(["train/accuracy", "val/accuracy"] if self.model.stack.has_accuracy else [])]
        if target.metric.split("/")[0] in ("train", "val") and target.metric not in known:
            raise SettingError("target.metric", target.metric, ", ".join(known))

    def resolved_config(self) -> str:
        """The whole config with every default, as YAML."""
        config = self.config.clone()
        parser = self._parser(self.subcommand)
        return parser.dump(config[self.subcommand], skip_none=False)

    def open_run_directory(self, folder: Path) -> RunDirectory:
        """A new run for a fit, the checkpoint's own for anything else."""
        ckpt_path = self.config[self.subcommand].get("ckpt_path")
        if self.subcommand != "fit":
            if not ckpt_path:
                raise SettingError("ckpt_path", ckpt_path, "'last', or a file checkpoints/last.ckpt in a run directory")
            run = RunDirectory.find(folder, ckpt_path)
        elif ckpt_path:
            run = RunDirectory.resume(folder, ckpt_path, self.resolved_config())
        else:
            run = RunDirectory.create(folder, self.resolved_config())
        self.config_init[self.subcommand]["ckpt_path"] = str(run.checkpoint) if run.checkpoint else None
        return run

    def tracker(self) -> Any:
        """The W&B logger, or ``False``."""
        settings = self.config_init[self.subcommand].wandb
        if settings.mode == "disabled":
            return False
        from svl.tracking import tracker

        config = yaml.safe_load(self.resolved_config())
        return tracker(self.run_directory, settings.mode, settings.project, settings.entity, config)

    # Fit and after ------------------------------------------------------------------------------------------------

    def fit(self, **kwargs: Any) -> None:
        """Train; stop at the end of a batch when a signal asks for it."""
        kwargs["weights_only"] = True
        before = self.checkpoint.catch_signals()
        self.began = time.monotonic()
        try:
            self.trainer.fit(**kwargs)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def after_fit(self) -> None:
        """Write the results of a finished fit and print the table, the figure's and the run directory's path."""
        path = self.run_directory.path
        if self.trainer.global_step < self.trainer.max_steps:
            received = self.checkpoint.received or signal.SIGINT
            self.exit_status = 128 + received
            print(f"stopped by {received.name} at step {self.trainer.global_step}; go on with the same command and", end=" ")
            print(f"--ckpt_path {path / 'checkpoints' / 'last.ckpt'}\n{path}")
            return
        target = self.config_init[self.subcommand].target
        diverged = int((self.model.stack.record["diverged_at"] >= 0).sum())
        extra = {"wall_seconds": round(time.monotonic() - self.began, 3), "diverged": diverged, **provenance()}
        table = self.run_directory.finish(list(self.model.replicas.vary), target.metric, target.value, extra)
        Console().print(table)
        if diverged:
            print(f"{diverged} of {len(self.model.replicas)} replicas diverged; they were frozen and are counted apart")
        print(f"figure: {path / FIGURE}.png\n{path}")

    def after_validate(self) -> None:
        self._print_measured()

    def after_test(self) -> None:
        self._print_measured()

    def _print_measured(self) -> None:
        from svl.results.arms import Arm

        metrics, replicas = self.model.measured, self.model.replicas
        for number, arm in enumerate(replicas.arms):
            rows = slice(number * replicas.seeds, (number + 1) * replicas.seeds)
            means = ", ".join(f"{name} {values[rows].nanmean():.4f}" for name, values in metrics.items())
            print(f"{Arm(arm, None).label}: {means} (mean over {replicas.seeds} seeds)")


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def run(words: list[str]) -> int:
    """Parse and run one subcommand; returns the exit status."""
    words = arguments.prepare(words)
    sys.argv[1:] = words
    # Lightning's advice on loaders, loggers and optimizers is about fits that have one step a batch.
    warnings.filterwarnings("ignore", module=r"lightning\.")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators"):
        import logging

        logging.getLogger(name).setLevel(logging.WARNING)
    laboratory = Laboratory(
        ReplicaModule,
        ReuseDataModule,
        save_config_callback=None,
        trainer_defaults={"max_steps": 1000, "log_every_n_steps": 50, "enable_model_summary": False, "accelerator": "auto", "devices": 1},
        parser_class=Parser,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
    )
    return laboratory.exit_status
