"""Checkpoints that survive anything, and stopping at the end of a batch when a signal asks for it."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.plugins.io import TorchCheckpointIO

from callbacks.history import History
from svl.errors import SettingError
from svl.results.atomic import replacing

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, syncs and renames, so that a checkpoint is whole or absent."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


class Checkpoint(pl.callbacks.Checkpoint):
    """Saves ``checkpoints/last.ckpt`` at the start, at intervals, when a signal asks to stop, and at the end.

    Args:
        run_dir: the run directory.
        history: whose rows are written before the checkpoint that follows them.
        every_n_seconds: interval in wall time.
        every_n_steps: interval in steps, in addition.

    Raises:
        SettingError: for an interval that is not above 0.
    """

    def __init__(
        self, run_dir: Path, history: History, every_n_seconds: float = 60.0, every_n_steps: int | None = None
    ) -> None:
        if not every_n_seconds > 0:
            raise SettingError("checkpoint.every_n_seconds", every_n_seconds, "above 0")
        if every_n_steps is not None and every_n_steps < 1:
            raise SettingError("checkpoint.every_n_steps", every_n_steps, "at least 1")
        self.path = run_dir / "checkpoints" / "last.ckpt"
        self.history, self.every_n_seconds, self.every_n_steps = history, every_n_seconds, every_n_steps
        self.received: signal.Signals | None = None
        self._saved_at = (0.0, -1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:
            self._save(trainer)
        self._saved_at = (time.monotonic(), trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        moment, step = self._saved_at
        due = time.monotonic() - moment >= self.every_n_seconds
        due |= self.every_n_steps is not None and trainer.global_step // self.every_n_steps > step // self.every_n_steps
        if due or self.received or trainer.global_step >= trainer.max_steps:
            self._save(trainer)
        if self.received:
            trainer.should_stop = True

    def _save(self, trainer: pl.Trainer) -> None:
        # History first: a kill in between leaves rows that the resumed fit discards, never a gap.
        self.history.flush()
        trainer.save_checkpoint(self.path)
        self._saved_at = (time.monotonic(), trainer.global_step)

    def catch_signals(self) -> dict[int, Any]:
        """Install handlers that ask for a stop; a second Ctrl-C interrupts at once. Returns the handlers they replace."""
        return {number: signal.signal(number, self._receive) for number in SIGNALS}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        # Saving here, in the middle of a step, could tear the stack: only a flag is set.
        self.received = signal.Signals(number)
