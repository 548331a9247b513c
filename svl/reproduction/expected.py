"""``svl reproduce --explain``: how long a figure would take on this machine; nothing is trained or written."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table

from svl.cli.explain import duration
from svl.cli.fit import estimated
from svl.console import plain
from svl.reproduction.fit import Fit
from svl.reproduction.paper_figure import PaperFigure


def expected(figure: PaperFigure, say: Callable[[str], None]) -> Table:
    """A row for each fit with its replicas and the time that it would take, and one for the whole figure.

    The time of a fit is measured by a few of its steps on this machine, without start-up and compilation. Reported fits
    have the config's rates, since none are chosen yet. A fit that several others need is counted once.

    Args:
        say: receives a line for each fit before it is measured, which takes some seconds.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    table = Table(title=f"{figure.name}, scale {figure.scale}", box=None, title_justify="left", pad_edge=False)
    table.add_column("fit")
    table.add_column("replicas", justify="right")
    table.add_column("expected", justify="right", no_wrap=True)
    if figure.theory:
        minutes = f"{figure.minutes:g} min, by its config" if figure.minutes else "seconds"
        table.add_row(*plain((f"svl theory {figure.theory}", "", minutes)))
        return table
    total = 0.0
    for fit in _fits(figure):
        say(fit.title)
        estimate = estimated(fit.words)
        seconds = estimate.training + estimate.measuring
        table.add_row(*plain((fit.title, f"{fit.replicas:,}", duration(seconds))))
        total += seconds
    table.add_row(*plain(("all, after start-up and compilation", "", duration(total))), style="bold")
    return table


def _fits(figure: PaperFigure) -> list[Fit]:
    """The fits in the order of their training, each once, with those of the pre-training."""
    fits: dict[str, Fit] = {}
    for planned in figure.planned_fits().values():
        for fit in planned:
            before = [figure.pretraining.fit(fit)] if figure.pretraining else []
            fits |= {each.command: each for each in (*before, fit)}
    return [*fits.values()]
