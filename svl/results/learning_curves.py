"""Learning curves of a column of arms: lines with their bands, labels and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy import ndarray

from svl.results import comparison, statistics
from svl.results.columns import Pair, arm_names
from svl.results.curve import Curve
from svl.results.quantity import ratio, significant
from svl.results.reference_lines import draw_reference_lines
from svl.results.statistics import Unit
from svl.results.style import MARKERS, RAMP, STYLES

MOST_LABELS, MOST_POINTS = 4, 300
"""With more of these, labels overlap and points are finer than the print."""


def fill(
    column: Sequence[Axes],
    rows: Sequence[str],
    title: str,
    pairs: Sequence[Pair],
    target: float | None,
    against: Unit,
    at_right: bool,
    comparisons: int,
    most: int = MOST_POINTS,
    labelled: bool = True,
) -> None:
    """Draw a metric in each panel of a column; the first panel gets labels and a legend.

    Args:
        column: from top to bottom.
        rows: the metric of each panel; the legend's speed-ups are those of the first.
        at_right: whether the legend is to the right of the panel rather than above it.
        comparisons: number of arms that are compared with a reference in all columns.
        most: the most points of a curve.
        labelled: whether names are also written next to the curves, where there are few.
    """
    labels = arm_names(pairs)
    drawn = [
        [_draw(axes, arm.rows, row, against, most, **look) for (arm, _), look in zip(pairs, looks(pairs), strict=True)]
        for axes, row in zip(column, rows, strict=True)
    ]
    if len(pairs) > 1:
        if labelled and len(pairs) <= MOST_LABELS:
            _label(column[0], drawn[0], labels)
        if target is not None and any(arm is not reference for arm, reference in pairs):
            labels = _with_speed_ups(labels, pairs, rows[0], target, against, comparisons)
            title = f"{title}{', ' * bool(title)}speed-up to {significant(target)}"
        _legend(column[0], drawn[0], labels, title, at_right)
    draw_reference_lines(column[0], [arm for arm, _ in pairs], rows[0], drawn[0])
    column[-1].set_xlabel("samples" if against == "samples" else "steps")


def looks(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Colour, line style and marker of each arm of a column: blue for the reference, the others in order before it.

    Where each arm is its own reference, the last one is blue.
    """
    others = [arm for arm, reference in pairs if arm is not reference] or [arm for arm, _ in pairs[:-1]]
    shades = {id(arm): place / len(others) for place, arm in enumerate(others)}
    return [
        {
            "color": RAMP(shades.get(id(arm), 1.0)),
            "linestyle": STYLES[i % len(STYLES)],
            "marker": MARKERS[i % len(MARKERS)],
            "stagger": i / len(pairs),
        }
        for i, (arm, _) in enumerate(pairs)
    ]


def _draw(axes: Axes, rows: pd.DataFrame, metric: str, against: Unit, most: int, stagger: float, **look: Any) -> Line2D:
    curve = Curve.of(rows, metric, most)
    x = curve.samples if against == "samples" else curve.step.astype(np.float64)
    limits = axes.dataLim.frozen()
    axes.fill_between(x, curve.low, curve.high, color=look["color"], alpha=0.15, linewidth=0)
    # A band of very few seeds is many times as high as the curves: it does not set the limits of the panel.
    axes.dataLim.set(limits)
    axes.update_datalim(_corners(x, curve.mean, curve.low, curve.high))
    # The markers of different arms are at different places, so that coinciding arms can be told apart.
    apart = max(1, len(x) // 7)
    markers = (round(stagger * apart), apart)
    (line,) = axes.plot(x, curve.mean, linewidth=1.8, markersize=4.5, markevery=markers, **look)
    return line


def _corners(
    x: Float[ndarray, "point"],
    mean: Float[ndarray, "point"],
    low: Float[ndarray, "point"],
    high: Float[ndarray, "point"],
) -> Float[ndarray, "corner 2"]:
    """The corners of a curve with its band, where that exceeds the curve's range by at most its height."""
    bottom, top = np.fmin.reduce(mean, initial=np.inf), np.fmax.reduce(mean, initial=-np.inf)
    if not np.isfinite(top - bottom):
        return np.empty((0, 2))
    least = max(np.fmin.reduce(low, initial=bottom), 2 * bottom - top)
    most = min(np.fmax.reduce(high, initial=top), 2 * top - bottom)
    return np.array([[x.min(), least], [x.max(), most]])


def _label(axes: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Write the arms' names next to their lines, each at its own height; above a line that never reaches its height."""
    means = [np.asarray(line.get_ydata(), float) for line in lines]
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    for i, (line, mean, name) in enumerate(zip(lines, means, names, strict=True)):
        if not mean.size:
            continue
        height = low + (high - low) * (0.75 - 0.45 * i / (len(lines) - 1))
        crossings = np.flatnonzero(np.diff(mean > height))
        at = crossings[0] if crossings.size else len(mean) * (i + 1) // (len(lines) + 1)
        across = np.asarray(line.get_xdata(), float)
        x, y = across[at], mean[at]
        if crossings.size:
            x, y = x + (across[at + 1] - x) * (height - y) / (mean[at + 1] - y), height
        inside = x < 0.8 * right
        axes.annotate(
            name,
            (x, y),
            xytext=((10 if inside else -8, -3) if crossings.size else (0, 5)),
            textcoords="offset points",
            horizontalalignment="left" if inside else "right",
            color=line.get_color(),
            fontsize=9,
            fontweight="bold",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _legend(axes: Axes, lines: Sequence[Line2D], names: Sequence[str], title: str, at_right: bool) -> None:
    """A legend above the panel, or to the right of it where it is long: never over the curves."""
    axes.legend(
        lines,
        names,
        title=title or None,
        loc="upper left" if at_right else "lower left",
        bbox_to_anchor=(1, 1) if at_right else (0, 1),
        alignment="left",
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        handlelength=3.5,
    )


def _with_speed_ups(
    names: Sequence[str], pairs: Sequence[Pair], metric: str, target: float, against: Unit, comparisons: int
) -> list[str]:
    """``4096: 3.1× [2.5, 4]`` for every arm except the reference."""
    times = {id(arm): statistics.time_to_target(arm.rows, metric, target) for pair in pairs for arm in pair}
    labels = []
    for name, (arm, reference) in zip(names, pairs, strict=True):
        gain = comparison.speed_up(times[id(arm)], times[id(reference)], against, comparisons)
        text = ratio(*gain[:4]) if np.isfinite(gain.value) else "not reached"
        labels.append(f"{name}: {'reference' if arm is reference else text}")
    return labels
