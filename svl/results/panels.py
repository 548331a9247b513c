"""The figures of a report: narrow panels, legible on a phone, one for each value of the settings not compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from svl.results import statistics
from svl.results.columns import MOST_COLUMNS, Pair, arm_names, comparisons, thinned
from svl.results.columns import columns_of as columns_by_reference
from svl.results.learning_curves import fill, looks
from svl.results.statistics import Unit
from svl.results.style import GREY, clean, own_settings

WIDTH = 3.9  # inches, at 72 points the width of a phone
MOST_ARMS, MOST_POINTS = 12, 100
"""More arms than these cannot be told apart, more points are finer than so narrow a panel shows."""


def columns_of(history: pd.DataFrame, vary: Sequence[str]) -> dict[str, list[Pair]]:
    """The panels by title, as those of a figure; many panels of one arm each are one panel of many arms."""
    columns = columns_by_reference(history, vary)
    if len(columns) > MOST_COLUMNS and all(len(pairs) == 1 for pairs in columns.values()):
        return {"": [pair for pairs in columns.values() for pair in pairs]}
    return columns


@own_settings()
def curves(
    history: pd.DataFrame,
    vary: Sequence[str],
    metric: str,
    target: float | None = None,
    against: Unit = "samples",
    most: int = MOST_COLUMNS,
) -> dict[str, Figure]:
    """The panels of ``figure.curves`` as separate figures by title, with equal axes; of many arms, some.

    Args:
        most: the most panels; if there are more, they are evenly thinned.
    """
    figures = {}
    columns = columns_of(history, vary)
    for title, every in thinned(columns, most).items():
        pairs, some = _drawn(every)
        figure = Figure(figsize=(WIDTH, 2.6 + 0.17 * (len(pairs) + 1)), layout="constrained")
        axes = figure.add_subplot()
        heading = f"{title}{', ' * bool(title and some)}{some}"
        fill([axes], [metric], heading, pairs, target, against, False, comparisons(columns), MOST_POINTS, False)
        axes.set_ylabel(metric.replace("_", " "))
        clean(axes)
        if target is not None:
            axes.axhline(target, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        figures[title] = figure
    _equal_axes(figures)
    return figures


@own_settings()
def times(
    history: pd.DataFrame,
    vary: Sequence[str],
    metric: str,
    target: float,
    against: Unit = "samples",
    most: int = MOST_COLUMNS,
) -> dict[str, Figure]:
    """The time at which each seed passed the target, as figures by title.

    A filled mark is a seed that passed; an open mark, at its last measurement, is a seed that did not. A seed has the
    same height within every arm. Vertical lines are Kaplan-Meier medians, shaded areas their 95 % intervals; a median
    that is not reached has no line.
    """
    figures = {}
    end = float(history[against].max())
    for title, every in thinned(columns_of(history, vary), most).items():
        pairs, some = _drawn(every)
        figure = Figure(figsize=(WIDTH, 0.8 + 0.6 * len(pairs)), layout="constrained")
        axes = figure.add_subplot()
        for row, ((arm, _), look) in enumerate(zip(pairs, looks(pairs), strict=True)):
            passed = statistics.time_to_target(arm.rows, metric, target).sort_index()
            median = statistics.median_time(passed, against)
            heights = row + np.linspace(-0.3, 0.3, len(passed) + 2)[1:-1]
            dots = {"linestyle": "none", "color": look["color"], "markersize": 4}
            reached = passed["reached"].to_numpy(bool)
            axes.plot(passed.loc[reached, against], heights[reached], marker=look["marker"], **dots)
            axes.plot(passed.loc[~reached, against], heights[~reached], marker=">", fillstyle="none", **dots)
            if np.isfinite(median.low):
                right = median.high if np.isfinite(median.high) else end
                axes.fill_betweenx(
                    [row - 0.4, row + 0.4], median.low, right, color=look["color"], alpha=0.2, linewidth=0
                )
            if np.isfinite(median.value):
                axes.vlines(median.value, row - 0.4, row + 0.4, color=look["color"], linewidth=2.2)
        axes.set_yticks(range(len(pairs)), arm_names(pairs))
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlabel("samples" if against == "samples" else "steps")
        axes.set_title(f"{title}{', ' * bool(title and some)}{some}", loc="left", fontsize=9)
        clean(axes)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.04 * end or 1)
        figures[title] = figure
    return figures


def _drawn(pairs: Sequence[Pair]) -> tuple[list[Pair], str]:
    """At most 12 arms of a panel, evenly spaced and with their references, and words that say so."""
    if len(pairs) <= MOST_ARMS:
        return list(pairs), ""
    places = set(np.linspace(0, len(pairs) - 1, MOST_ARMS).round().astype(int).tolist())
    compared = any(arm is not reference for arm, reference in pairs)
    if compared:
        places |= {place for place, (arm, reference) in enumerate(pairs) if arm is reference}
    return [pairs[place] for place in sorted(places)], f"{len(places)} of {len(pairs)} arms"


def _equal_axes(figures: Mapping[str, Figure]) -> None:
    limits = np.array([figure.axes[0].get_ylim() for figure in figures.values()])
    for figure in figures.values():
        figure.axes[0].set_ylim(limits[:, 0].min(), limits[:, 1].max())
