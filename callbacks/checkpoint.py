"""Checkpoints that are complete whatever happens, and stopping at the end of a batch when a signal asks for it."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.signals import handled_by, install


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, syncs and renames, so that a checkpoint is complete or absent.

    The temporary name is in the checkpoint's own folder. Lightning's plugin writes to the system's folder for temporary
    files first and copies from there, which fails where that one is full, and leaves a file there where this one is.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if storage_options is not None:
            raise TypeError("a checkpoint in a folder has no storage_options")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


@dataclass
class CheckpointInterval:
    """How often ``checkpoints/last.ckpt`` is written.

    Args:
        every_n_seconds: seconds of wall time between two checkpoints.
        every_n_steps: steps between two checkpoints, in addition to those by time.

    Raises:
        SettingError: for an interval that is not above 0.
    """

    every_n_seconds: float = 60.0
    every_n_steps: int | None = None

    def __post_init__(self) -> None:
        if not self.every_n_seconds > 0:
            raise SettingError("every_n_seconds", self.every_n_seconds, "a number above 0")
        if self.every_n_steps is not None and self.every_n_steps < 1:
            raise SettingError("every_n_steps", self.every_n_steps, "a whole number, at least 1, or null")


class Checkpoint(pl.callbacks.Checkpoint):
    """Saves ``checkpoints/last.ckpt`` at the start, at intervals, when a signal asks to stop, and at the end.

    Args:
        run_dir: the run directory.
        interval: how often a checkpoint is written.

    Attributes:
        received: the signal that asked to stop, if any did.
        wall_seconds: time from the beginning of training to the last checkpoint, over all resumptions.
        routes: which computed the fit; see :meth:`~svl.training.stack.ReplicaStack.computed_by`.
    """

    def __init__(self, run_dir: Path, interval: CheckpointInterval) -> None:
        self.path = run_dir / "checkpoints" / "last.ckpt"
        self.interval = interval
        self.received: signal.Signals | None = None
        self.wall_seconds = 0.0
        self.routes: dict[str, Any] = {}
        self._saved_at = (0.0, -1)

    def state_dict(self) -> dict[str, Any]:
        return {"wall_seconds": self.wall_seconds, "routes": self.routes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.wall_seconds = state_dict["wall_seconds"]
        self.routes = state_dict.get("routes", {})

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_at = (time.monotonic(), trainer.global_step)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Since the fit began Lightning has installed handlers of its own, which raise in the middle of a batch.
        install(self._receive)
        if trainer.global_step == 0:
            self._save(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # A measured step is complete, and its checkpoint due, when its measurement is.
        if trainer.global_step not in pl_module.measured_steps or not trainer.enable_validation:
            self._act(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.is_fitting and pl_module.is_measuring and not trainer.sanity_checking:
            self._act(trainer)

    def _act(self, trainer: pl.Trainer) -> None:
        moment, step = self._saved_at
        every = self.interval.every_n_steps
        due = time.monotonic() - moment >= self.interval.every_n_seconds
        due |= every is not None and trainer.global_step // every > step // every
        # Each process has a clock and signals of its own, but all must decide the same.
        agreed = trainer.strategy.reduce_boolean_decision
        stops = agreed(bool(self.received) or trainer.should_stop, all=False)
        if stops or trainer.global_step >= trainer.max_steps or agreed(due, all=False):
            self._save(trainer)
        if stops:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Other callbacks can end a fit too, such as a time limit.
        if self._saved_at[1] < trainer.global_step:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        now = time.monotonic()
        self.wall_seconds += now - self._saved_at[0]
        module: Any = trainer.lightning_module
        self.routes = module.stack.computed_by() or self.routes
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at = (now, trainer.global_step)

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Within the block, a signal stops the fit at the end of the batch; a second Ctrl-C interrupts it at once."""
        with handled_by(self._receive):
            yield

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        # Saving here, in the middle of a step, could save a stack that is half updated: only a flag is set.
        self.received = signal.Signals(number)
