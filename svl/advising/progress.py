"""The progress of a question: one bar over all its fits on a terminal, else a line for each round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import lightning.pytorch as pl
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from svl.console import console, say


class Watch(pl.Callback):
    """Tells the bar how far a fit is, at each of its measurements.

    Args:
        progress: the bar's owner.
        replicas: of the fit.
    """

    def __init__(self, progress: Progress, replicas: int) -> None:
        self.progress, self.replicas = progress, replicas

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.progress.show(self.replicas * trainer.global_step / trainer.max_steps)


class Progress:
    """A context in which fits are trained.

    Args:
        replicas: of all fits, at most.
    """

    def __init__(self, replicas: int) -> None:
        shown = console(to_errors=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._is_bar = shown.is_terminal
        self._bar = Bar(*columns, console=shown, transient=True, disable=not self._is_bar)
        self._task = self._bar.add_task("", total=replicas)
        self._done = 0.0

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, title: str, until: float | None = None) -> None:
        """Begin a round.

        Args:
            title: what it is.
            until: replicas of all rounds before it, at most; earlier rounds may have had fewer.
        """
        if until is not None:
            self._done = until
        self._bar.update(self._task, description=title, completed=self._done)
        if not self._is_bar:
            say(title)

    @contextmanager
    def fit(self, replicas: int) -> Iterator[Watch]:
        """Train a fit of so many replicas in the block, with this callback."""
        yield Watch(self, replicas)
        self._done += replicas
        self._bar.update(self._task, completed=self._done)

    def show(self, replicas: float) -> None:
        """Show that this part of the present fit is done, in replicas."""
        self._bar.update(self._task, completed=self._done + replicas)
