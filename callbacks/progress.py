"""The progress bar: steps, samples, accuracy per arm, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from svl.callbacks.history import History
from svl.console import console, say
from svl.results.arm_label import short_names
from svl.results.quantity import quantity, setting

_MAX_ARMS = 6


class _Bar(RichProgress):
    """A progress bar with a status line below it; both fit a terminal of 80 columns."""

    status = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.status, no_wrap=True, overflow="ellipsis")


class Progress(pl.callbacks.ProgressBar):
    """Shows a bar on a terminal; otherwise prints a line every tenth of the run. Both go to standard error.

    Args:
        history: the callback that has the latest measurement.
        metric: the one whose means are shown; where it is not measured, the accuracy or the loss is.
    """

    def __init__(self, history: History, metric: str = "val/accuracy") -> None:
        super().__init__()
        self.history, self.metric, self._enabled = history, metric, True
        self._bar: _Bar | None = None
        self._begun, self._tenth = (0.0, 0), 0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._enabled and sys.stderr.isatty():
            columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn())
            left = (TextColumn("and"), TimeRemainingColumn(), TextColumn("left"))
            # Rich would otherwise take over standard output, which belongs to the program.
            self._bar = _Bar(*columns, *left, console=console(to_errors=True), redirect_stdout=False, expand=True)
            self._bar.status = "preparing"
            self._bar.start()
            self._task = self._bar.add_task("", total=trainer.max_steps, start=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begun = (time.monotonic(), trainer.global_step)
        self._tenth = 10 * trainer.global_step // trainer.max_steps
        if self._bar:
            self._bar.status = self._status(pl_module)
            self._bar.update(self._task, completed=trainer.global_step)
            self._bar.start_task(self._task)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step not in pl_module.measured_steps:
            self._show(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.is_fitting and pl_module.is_measuring and not trainer.sanity_checking:
            self._show(trainer, pl_module)

    def _show(self, trainer: pl.Trainer, module: Any) -> None:
        tenth = 10 * trainer.global_step // trainer.max_steps
        if self._bar:
            self._bar.status = self._status(module)
            self._bar.update(self._task, completed=trainer.global_step)
        elif self._enabled and tenth > self._tenth:
            moment, step = self._begun
            seconds = (time.monotonic() - moment) / (trainer.global_step - step)
            left = timedelta(seconds=round(seconds * (trainer.max_steps - trainer.global_step)))
            where = f"step {trainer.global_step:,} of {trainer.max_steps:,}, {left} left"
            say(f"{where}: {self._status(module)}")
        self._tenth = tenth

    def _status(self, module: Any) -> str:
        frame, replicas = self.history.latest, module.replicas
        if frame is None:
            return ""
        metric = next(name for name in (self.metric, "val/accuracy", "val/loss") if name in frame)
        names = short_names(list(replicas.vary))
        means = frame.groupby("arm", sort=False)[metric].mean()
        arms = [
            f"{'/'.join(map(setting, settings.values()))} {means[name]:.3f}".strip()
            for name, settings in list(replicas.named_arms.items())[:_MAX_ARMS]
        ]
        by = f" by {'/'.join(names)}:" if names else ""
        more = f" and {len(replicas.arms) - _MAX_ARMS} more" if len(replicas.arms) > _MAX_ARMS else ""
        return f"{quantity(int(frame['samples'].max()))} samples, {metric}{by} {', '.join(arms)}{more}"

    def _stop(self) -> None:
        if self._bar:
            bar, self._bar = self._bar, None
            with suppress(OSError):  # a terminal that is gone
                bar.stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()
