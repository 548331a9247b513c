"""The result of an experiment of :mod:`svl.theory`, and the parts that tables and figures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy import ndarray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from svl.console import plain
from svl.results.quantity import quantity, significant
from svl.results.statistics import Estimate
from svl.theory.slope import Slope

Size = Literal["smoke", "default"]
Track = Callable[[Iterable[Any], str], Iterable[Any]]
"""Shows the progress of a loop, given its items and a description."""


def generator(stream: int, seed: int = 0) -> np.random.Generator:
    """A source of random numbers: one for each stream of an experiment, and others for every other seed."""
    return np.random.default_rng((seed, stream) if seed else stream)


class Finding(NamedTuple):
    """The result of an experiment: tables for the terminal, a figure, and all numbers, ready for JSON."""

    tables: list[Table]
    figure: Figure
    numbers: dict[str, Any]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Table:
    """A table in the style of ``svl fit``."""
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    shown.caption, shown.caption_justify = caption or None, "left"
    for place, name in enumerate(columns):
        shown.add_column(Text(name), justify="right" if place else "left")
    for row in rows:
        shown.add_row(*plain(row))
    return shown


def interval(value: float, low: float, high: float) -> str:
    """A value with its interval, such as ``0.503 [0.491, 0.515]``."""
    return f"{number(value)} [{number(low)}, {number(high)}]" if not math.isnan(value) else number(value)


def number(value: float) -> str:
    """A number with three significant digits, as a power of ten if that is shorter; ``unknown`` for NaN."""
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e5:
        return "unknown" if math.isnan(value) else significant(value)
    return f"{value:.2e}"


def decorate(axes: Axes, title: str, x: str, y: str, log: str = "xy") -> None:
    """Title, names and scales of the axes; call it after the curves are drawn.

    Args:
        axes: the panel.
        title: its title.
        x: name of the x-axis.
        y: name of the y-axis.
        log: which axes are logarithmic: ``x``, ``y``, ``xy`` or the empty string.
    """
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axes.set(**{f"{name}scale": "log"})
            low, high = axis.get_view_interval()
            # Powers of ten below a thousandth, where plain numbers would be mostly zeros.
            if high < 200 * low and low > 1e-3:
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
                axis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of panels, and the panels in reading order."""
    figure = Figure(figsize=(0.3 + 4.4 * columns, 0.2 + 3.5 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def points(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], label: str, **look: Any) -> None:
    """Estimates with their intervals, joined by a line."""
    value, low, high = np.array(estimates).T
    look = {"marker": "o", "markersize": 4, "linewidth": 1.2, "capsize": 2, **look}
    axes.errorbar(x, value, yerr=np.clip([value - low, high - value], 0, None), label=label, **look)


def legend(axes: Axes) -> None:
    """A legend below the panel, where it covers nothing."""
    columns = 2 if len(axes.get_legend_handles_labels()[0]) > 3 else 1
    axes.legend(frameon=False, fontsize=8, ncols=columns, loc="upper left", bbox_to_anchor=(0, -0.17), alignment="left")


class Exponent(NamedTuple):
    """A measured exponent and the theorem's.

    Attributes:
        what: the time or size that is a power of ``of``.
        of: the variable.
        claimed: the theorem's exponent.
        bound: whether the theorem states it as an upper bound only.
        measured: the fitted exponent.
    """

    what: str
    of: str
    claimed: float
    bound: bool
    measured: Slope

    @property
    def agrees(self) -> bool:
        """Whether the interval contains the claimed exponent or, for an upper bound, lies below it."""
        low, high = self.measured.exponent[1:]
        return low <= self.claimed <= high or (self.bound and high <= self.claimed)

    def row(self) -> list[str]:
        """The row of the table of :func:`exponents`."""
        claimed = f"{'≤ ' if self.bound else ''}{significant(self.claimed)}"
        verdict = "yes" if self.agrees else "no"
        if self.agrees and self.measured.exponent.high < self.claimed:
            verdict = "below it"
        decades = significant(self.measured.decades)
        return [self.what, self.of, decades, claimed, interval(*self.measured.exponent), verdict]

    def numbers(self) -> dict[str, Any]:
        """The numbers for JSON."""
        value, low, high = self.measured.exponent
        claim = {"what": self.what, "of": self.of, "claimed": self.claimed, "bound": self.bound}
        return {**claim, "exponent": value, "low": low, "high": high, "decades": self.measured.decades}


def exponents(rows: Sequence[Exponent], caption: str = "") -> Table:
    """A table of exponents."""
    columns = ["exponent of", "in", "decades", "theorem", "measured", "agrees"]
    return table("Exponents, with 95 % intervals over seeds", columns, (exponent.row() for exponent in rows), caption)


class Bound(NamedTuple):
    """Measured values divided by their upper bound."""

    what: str
    ratios: Float[ndarray, "replica"]

    @property
    def holds(self) -> bool:
        """Whether no replica exceeds the bound, up to rounding."""
        return bool((self.ratios <= 1 + 1e-9).all())

    def row(self) -> list[str]:
        """The row of the table of :func:`bounds`."""
        share = [number(value) for value in (np.median(self.ratios), self.ratios.max())]
        return [self.what, str(self.ratios.size), *share, "yes" if self.holds else "no"]

    def numbers(self) -> dict[str, Any]:
        """The numbers for JSON."""
        ratios = {"median": float(np.median(self.ratios)), "largest": float(self.ratios.max())}
        return {"what": self.what, "replicas": int(self.ratios.size), **ratios, "holds": self.holds}


def bounds(rows: Sequence[Bound], caption: str = "") -> Table:
    """A table of bounds."""
    columns = ["measured / bound", "replicas", "median", "largest", "holds"]
    return table("Upper bounds with the proofs' constants", columns, (bound.row() for bound in rows), caption)
