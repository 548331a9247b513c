"""The Lightning trainer of a session."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from svl.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
from svl.cli.settings import TrainerSettings
from svl.errors import SettingError
from svl.processes import environment
from svl.results.run_directory import FOLLOWED
from svl.signals import Interrupted
from svl.training.team import TeamStrategy

# By what Lightning says, the option that it refuses; it says nothing of these for an accelerator.
_BLAMED = {
    "Timer(": "max_time",
    "profiler": "profiler",
    "deterministic": "deterministic",
    **dict.fromkeys(("devices", "SLURM", "ntasks", "LSF"), "devices"),
}


def make_trainer(
    settings: TrainerSettings,
    callbacks: Sequence[pl.Callback],
    run_directory: Path,
    is_fit: bool,
    is_first: bool,
    **options: Any,
) -> pl.Trainer:
    """The trainer of a fit, or of the evaluation of a checkpoint.

    Args:
        settings: those that the user gave.
        callbacks: all of them, in the order in which they are called.
        run_directory: where everything is written.
        is_fit: whether it trains; an evaluation runs in one process.
        is_first: whether this process is the only one, or the first of several: it alone logs.
        options: of Lightning's trainer, over those of the settings.

    Raises:
        SettingError: for an option that Lightning or this machine refuses.
    """
    config = {
        **vars(settings),
        "callbacks": list(callbacks),
        "plugins": [AtomicCheckpointIO(), *([] if is_fit and is_on_several_devices(settings) else [OneProcess()])],
        "logger": settings.logger or False if is_fit and is_first else False,
        **_processes(settings, run_directory, is_fit),
        "default_root_dir": str(run_directory),
        # The module decides which steps are measured; step 0 is, before the first one.
        "val_check_interval": 1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 1,
        # Lightning's own monitors log after each batch, which stands for many steps.
        "log_every_n_steps": 1,
        # What is made while step 0 is measured is trained afterwards.
        "inference_mode": False,
        **options,
    }
    try:
        return pl.Trainer(**config)
    except (MisconfigurationException, TypeError, ValueError, ImportError, RuntimeError) as error:
        key = next((key for hint, key in _BLAMED.items() if hint in str(error)), "accelerator")
        allowed = f"what Lightning supports on this machine ({' '.join(str(error).split())})"
        raise SettingError(f"trainer.{key}", getattr(settings, key), allowed) from None


def train(trainer: pl.Trainer, checkpoint: Checkpoint, callbacks: Sequence[pl.Callback], **arguments: Any) -> None:
    """Train until the last step, or until a signal stops the fit.

    Args:
        checkpoint: remembers the signal.
        callbacks: those of the settings.
        arguments: of ``trainer.fit``.

    Raises:
        SettingError: for callbacks that Lightning refuses when the fit begins, such as a monitor without a logger.
    """
    try:
        trainer.fit(**arguments)
    except SystemExit:
        # Lightning raises it at a second Ctrl-C.
        if checkpoint.received is None:
            raise
    except Interrupted as interruption:
        checkpoint.received = interruption.received
    except MisconfigurationException as error:
        names, reason = ", ".join(type(callback).__name__ for callback in callbacks), " ".join(str(error).split())
        raise SettingError("trainer.callbacks", names, f"what Lightning accepts ({reason})") from error


class OneProcess(LightningEnvironment):
    """This process alone, whatever the environment says of the job that it belongs to.

    A cluster's own environment refuses, for instance, an allocation of several tasks, in which a sweep runs several
    fits; and in all tasks but the first nothing would be logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_global_rank(0)

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0


def is_on_several_devices(settings: TrainerSettings) -> bool:
    """Whether the settings ask for more than one device, each with a process of its own."""
    devices = settings.devices
    return len(devices) > 1 if isinstance(devices, list) else devices > 1


def _processes(settings: TrainerSettings, run_directory: Path, is_fit: bool) -> dict[str, Any]:
    """The options of the trainer that decide on processes."""
    devices = settings.devices
    if not is_fit:
        return {"devices": devices[:1] if isinstance(devices, list) else 1}
    if not is_on_several_devices(settings):
        return {}
    # The processes that Lightning starts inherit it.
    os.environ |= environment({FOLLOWED: str(run_directory.absolute())})
    return {"strategy": TeamStrategy()}
