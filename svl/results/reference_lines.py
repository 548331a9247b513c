"""The losses of reference predictors as lines in a panel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from svl.results.arms import Arm
from svl.results.style import GREY


def draw_reference_lines(axes: Axes, arms: Sequence[Arm], metric: str, lines: Sequence[Line2D]) -> None:
    """Draw the columns ``reference/<name>`` for a loss, ``reference/<name>_query`` for a ``query_loss``.

    A level above the panel is left out.

    Args:
        arms: those that the panel shows.
        metric: of the panel.
        lines: each arm's.
    """
    lowest, highest = axes.get_ylim()
    place = 0.99
    for name, level, arm in reference_levels(arms, metric):
        if level > highest:
            continue
        color = GREY if arm is None else lines[arm].get_color()
        axes.axhline(level, color=color, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            name,
            (place, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            horizontalalignment="right",
            color=color,
            fontsize=8,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        lowest = min(lowest, level - 0.05 * (highest - level))
        place -= 0.24  # labels of levels that are close are placed side by side
    axes.set_ylim(lowest, highest)


def reference_levels(arms: Sequence[Arm], metric: str) -> list[tuple[str, float, int | None]]:
    """Name, loss and arm of each reference predictor; the place of its arm is None where it is the same for all."""
    kind = metric.rpartition("/")[2]
    if not kind.endswith("loss"):
        return []
    suffix = kind.removesuffix("loss").rstrip("_")
    known = [column for column in arms[0].rows if column.startswith("reference/")]
    measured = [name.removeprefix("val/").removesuffix("_loss") for name in arms[0].rows if name.endswith("_loss")]
    # reference/least_squares belongs to the loss, reference/ridge_query to the query_loss.
    columns = [
        column
        for column in known
        if (column.endswith(f"_{suffix}") if suffix else not any(column.endswith(f"_{loss}") for loss in measured))
    ]
    levels: list[tuple[str, float, int | None]] = []
    for column in columns:
        name = column.removeprefix("reference/").removesuffix(f"_{suffix}" if suffix else "").replace("_", " ")
        means = [float(arm.rows[column].mean()) for arm in arms]
        same = np.ptp(means) <= 1e-6 * abs(means[0]) if np.isfinite(means).all() else False
        levels += [(name, means[0], None)] if same else [(name, mean, place) for place, mean in enumerate(means)]
    return [level for level in levels if np.isfinite(level[1])]
