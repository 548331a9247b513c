"""What an experiment of :mod:`svl.theory` hands back, and the parts that their tables and figures share."""

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
from rich.markup import escape
from rich.table import Table

from svl.results.quantity import quantity, significant
from svl.results.statistics import Estimate
from svl.theory.slope import Slope

Size = Literal["smoke", "default"]
Track = Callable[[Iterable[Any], str], Iterable[Any]]
"""Shows how far a loop is: takes its items and what it does."""


class Finding(NamedTuple):
    """Tables for the terminal, a figure, and all the numbers, ready for JSON."""

    tables: list[Table]
    figure: Figure
    numbers: dict[str, Any]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Table:
    """A table as ``svl fit`` prints them."""
    shown = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    shown.caption, shown.caption_justify = escape(caption) or None, "left"
    for place, name in enumerate(columns):
        shown.add_column(escape(name), justify="right" if place else "left")
    for row in rows:
        shown.add_row(*map(escape, row))
    return shown


def interval(value: float, low: float, high: float) -> str:
    """``0.503 [0.491, 0.515]``."""
    return f"{number(value)} [{number(low)}, {number(high)}]" if not math.isnan(value) else number(value)


def number(value: float) -> str:
    """Three significant digits, as a power of ten where that is shorter."""
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e5:
        return "unknown" if math.isnan(value) else significant(value)
    return f"{value:.2e}"


def decorate(axes: Axes, title: str, x: str, y: str, log: str = "xy") -> None:
    """Few lines, names on the axes, logarithmic scales where ``log`` names them; after the curves are drawn."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in log:
            axes.set(**{f"{name}scale": "log"})
            low, high = axis.get_view_interval()
            # Below a thousandth a plain number is zeros; there, powers of ten.
            if high < 200 * low and low > 1e-3:
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
                axis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, and these in reading order."""
    figure = Figure(figsize=(0.3 + 4.4 * columns, 0.2 + 3.5 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def points(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], label: str, **look: Any) -> None:
    """Estimates with their intervals, joined by a line."""
    value, low, high = np.array(estimates).T
    look = {"marker": "o", "markersize": 4, "linewidth": 1.2, "capsize": 2, **look}
    axes.errorbar(x, value, yerr=np.clip([value - low, high - value], 0, None), label=label, **look)


def legend(axes: Axes) -> None:
    """Below the panel, where it covers nothing."""
    columns = 2 if len(axes.get_legend_handles_labels()[0]) > 3 else 1
    axes.legend(frameon=False, fontsize=8, ncols=columns, loc="upper left", bbox_to_anchor=(0, -0.17), alignment="left")


class Exponent(NamedTuple):
    """An exponent beside the theorem's.

    Attributes:
        what: which time or size.
        of: the variable whose power it is.
        claimed: by the theorem.
        bound: whether the theorem only says that the exponent is at most this.
        measured: the fit.
    """

    what: str
    of: str
    claimed: float
    bound: bool
    measured: Slope

    @property
    def agrees(self) -> bool:
        """Whether the interval contains the claimed exponent or, of a bound, lies below it."""
        low, high = self.measured.exponent[1:]
        return low <= self.claimed <= high or (self.bound and high <= self.claimed)

    def row(self) -> list[str]:
        """A line of :func:`exponents`."""
        claimed = f"{'≤ ' if self.bound else ''}{significant(self.claimed)}"
        verdict = "yes" if self.agrees else "no"
        if self.agrees and self.measured.exponent.high < self.claimed:
            verdict = "below it"
        decades = significant(self.measured.decades)
        return [self.what, self.of, decades, claimed, interval(*self.measured.exponent), verdict]

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        value, low, high = self.measured.exponent
        found = {"what": self.what, "of": self.of, "claimed": self.claimed, "bound": self.bound}
        return {**found, "exponent": value, "low": low, "high": high, "decades": self.measured.decades}


def exponents(found: Sequence[Exponent], caption: str = "") -> Table:
    """The table of exponents."""
    columns = ["exponent of", "in", "decades", "theorem", "measured", "agrees"]
    return table("Exponents, with 95 % intervals over seeds", columns, (one.row() for one in found), caption)


class Bound(NamedTuple):
    """How measured values compare with their upper bound."""

    what: str
    ratios: Float[ndarray, "replica"]

    @property
    def holds(self) -> bool:
        """Whether no replica is above the bound; rounding may be."""
        return bool((self.ratios <= 1 + 1e-9).all())

    def row(self) -> list[str]:
        """A line of :func:`bounds`."""
        share = [number(value) for value in (np.median(self.ratios), self.ratios.max())]
        return [self.what, str(self.ratios.size), *share, "yes" if self.holds else "no"]

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        ratios = {"median": float(np.median(self.ratios)), "largest": float(self.ratios.max())}
        return {"what": self.what, "replicas": int(self.ratios.size), **ratios, "holds": self.holds}


def bounds(found: Sequence[Bound], caption: str = "") -> Table:
    """The table of bounds."""
    columns = ["measured / bound", "replicas", "median", "largest", "holds"]
    return table("Upper bounds with the proofs' constants", columns, (one.row() for one in found), caption)
