"""The progress bar: steps, samples, accuracy per arm, time left."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from callbacks.history import History
from svl.results.arms import Arm

_MAX_ARMS = 4


class Progress(pl.callbacks.ProgressBar):
    """A bar on a terminal, and a line every tenth of the run elsewhere.

    Args:
        history: where the latest measurement is read.
    """

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history, self._enabled = history, True
        self._bar: RichProgress | None = None
        self._tenth = 0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._begun = time.monotonic(), trainer.global_step
        if self._enabled and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
            self._bar = RichProgress(
                *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)
            )
            self._bar.start()
            self._task = self._bar.add_task("preparing the step", total=trainer.max_steps, completed=trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        tenth = 10 * trainer.global_step // trainer.max_steps
        if self._bar:
            self._bar.update(self._task, completed=trainer.global_step, description=self._status(pl_module))
        elif self._enabled and tenth > self._tenth:
            elapsed = time.monotonic() - self._start
            left = elapsed * (trainer.max_steps - trainer.global_step) / max(trainer.global_step - self._begun, 1)
            where = f"step {trainer.global_step:,} of {trainer.max_steps:,}"
            print(f"{where}, {self._status(pl_module)}, {left:.0f} s left", file=sys.stderr, flush=True)
        self._tenth = tenth

    def _status(self, module: Any) -> str:
        frame, replicas = self.history.latest, module.replicas
        if frame is None:
            return ""
        metric = "val/accuracy" if "val/accuracy" in frame else "val/loss"
        arms = []
        for number, arm in enumerate(replicas.arms[:_MAX_ARMS]):
            rows = frame.iloc[number * replicas.seeds : (number + 1) * replicas.seeds]
            arms.append(f"{Arm(arm, rows).label} {rows[metric].mean():.3f}")
        more = f", {len(replicas.arms) - _MAX_ARMS} more" if len(replicas.arms) > _MAX_ARMS else ""
        return f"{frame['samples'].max():,} samples, {metric} {', '.join(arms)}{more}"

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()
