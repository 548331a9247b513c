"""The figure of a run: the learning curves of its arms, and below them how their weights grow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from svl.errors import SettingError
from svl.results import statistics
from svl.results.arm_label import short_names
from svl.results.arms import Arm, arms, compared_setting, metrics, references
from svl.results.atomic import replacing
from svl.results.quantity import quantity, ratio, setting, significant
from svl.results.statistics import Unit

# from small (amber) to large (blue), ever darker, so that the order survives grey print and colour blindness
RAMP = LinearSegmentedColormap.from_list("svl", ["#E0A800", "#9AAB2E", "#3F9F73", "#2480A0", "#1B4FA8"])
STYLES = ["-", (0, (6, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*"]
GREY = "#666666"
# beyond these a panel is too narrow, its labels overlap, its points are finer than the print
MOST_COLUMNS, MOST_LABELS, MOST_POINTS = 4, 4, 300

Pair = tuple[Arm, Arm]
"""An arm and its reference."""


def curves(
    history: pd.DataFrame,
    vary: Sequence[str],
    metric: str = "val/accuracy",
    target: float | None = 0.9,
    reference: Mapping[str, Any] | None = None,
    below: str = "norm_ratio",
    against: Unit = "samples",
) -> Figure:
    """Mean of a metric over seeds: a line an arm, a column each value of the settings that are not being compared.

    Bands are 95 % percentile bootstrap intervals of the mean over seeds (``statistics.band``). Where the seeds of an
    arm have processed different numbers of samples at a step, the median one is their place on the axis. What reference
    predictors reach (columns ``reference/...``) are dashed lines: grey where all arms have the same, else in the arm's
    colour.

    Args:
        metric: of the upper row.
        target: drawn as a line, and the legend gives the speed-ups to it; None for neither.
        reference: settings of the arms to compare with, by default the large ones.
        below: metric of a second row, drawn if the history has it.
        against: unit of the horizontal axis and of the speed-ups.

    Raises:
        SettingError: if ``metric`` is not in the history or no arm is the ``reference``.
    """
    known = metrics(history, vary)
    if metric not in known:
        raise SettingError("metric", metric, f"one of {', '.join(known)}")
    rows = [metric, below] if below in known else [metric]
    columns = columns_of(history, vary, reference)
    crowded = max(map(len, columns.values())) > MOST_LABELS
    most = MOST_COLUMNS // 2 if crowded else MOST_COLUMNS
    picked = thinned(columns, most)

    size = (1 + (6.6 if crowded else 4.6) * len(picked), 3.9 if len(rows) == 1 else 5.6)
    figure = Figure(figsize=size, layout="constrained")
    heights = [3, 2][: len(rows)]
    grid = figure.subplots(len(rows), len(picked), squeeze=False, sharex=True, sharey="row", height_ratios=heights)
    for column, (title, pairs) in zip(grid.T, picked.items(), strict=True):
        fill(list(column), rows, title, pairs, target, against, beside=crowded)
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name.replace("_", " "))
    for axes in grid.flat:
        clean(axes)
    if target is not None:
        for axes in grid[0]:
            axes.axhline(target, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    if len(picked) < len(columns):
        figure.suptitle(f"{len(picked)} of {len(columns)} settings shown", fontsize=9, color=GREY)
    return figure


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Writes ``path``.png and ``path``.svg, each whole or not at all; equal figures make equal files."""
    path = Path(path)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what has been laid out once need not be for each file
    written = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
    for file in written:
        metadata = {"Date": None} if file.suffix == ".svg" else None
        with mpl.rc_context({"svg.hashsalt": "svl"}), replacing(file) as temporary:
            figure.savefig(temporary, format=file.suffix[1:], dpi=150, metadata=metadata)
    return written


def columns_of(
    history: pd.DataFrame, vary: Sequence[str], reference: Mapping[str, Any] | None = None
) -> dict[str, list[Pair]]:
    """Arms of one reference are a column; by title: the settings that they share.

    Raises:
        SettingError: if no arm is the ``reference``.
    """
    all_arms = arms(history, vary)
    by_reference: dict[int, list[Pair]] = {}
    for arm, compared in zip(all_arms, references(all_arms, reference), strict=True):
        by_reference.setdefault(id(compared), []).append((arm, compared))
    columns: dict[str, list[Pair]] = {}
    for pairs in by_reference.values():
        settings = [arm.settings for arm, _ in pairs]
        short = zip(short_names(list(vary)), vary, strict=True)
        shared = [(name, key) for name, key in short if all(one[key] == settings[0][key] for one in settings)]
        title = ", ".join(
            f"{name} = {setting(settings[0][key])}" for name, key in shared if key != compared_setting(vary)
        )
        columns.setdefault(title, []).extend(pairs)
    return columns


def thinned(columns: Mapping[str, list[Pair]], most: int) -> dict[str, list[Pair]]:
    """At most so many of the columns, from the first to the last."""
    places = np.linspace(0, len(columns) - 1, min(len(columns), most)).round().astype(int)
    return {title: columns[title] for title in (list(columns)[place] for place in places)}


def arm_names(pairs: Sequence[Pair]) -> list[str]:
    """What tells the arms of a column apart: their names, or the values of the settings in which they differ."""
    if all(arm.name for arm, _ in pairs):
        return [arm.label for arm, _ in pairs]
    settings = [arm.settings for arm, _ in pairs]
    compared = compared_setting(list(settings[0]))
    keys = [key for key in settings[0] if key == compared or any(one[key] != settings[0][key] for one in settings)]
    names = [", ".join(setting(one[key]) for key in keys) for one in settings]
    return [name or arm.label for name, (arm, _) in zip(names, pairs, strict=True)]


def fill(
    column: Sequence[Axes],
    rows: Sequence[str],
    title: str,
    pairs: Sequence[Pair],
    target: float | None,
    against: Unit,
    beside: bool,
) -> None:
    """Draws a metric in each panel of a column, and says at the first of them which line is which.

    Args:
        column: from top to bottom.
        rows: a metric each; the legend's speed-ups are those of the first.
        beside: whether the legend is to the right of the panel rather than above it.
    """
    labels = arm_names(pairs)
    drawn = [
        [_draw(axes, arm.rows, row, against, **look) for (arm, _), look in zip(pairs, looks(pairs), strict=True)]
        for axes, row in zip(column, rows, strict=True)
    ]
    if len(pairs) > 1:
        if len(pairs) <= MOST_LABELS:
            _label(column[0], drawn[0], labels)
        if target is not None:
            labels = _with_speed_ups(labels, pairs, rows[0], target, against)
            title = f"{title}{', ' * bool(title)}speed-up to {significant(target)}"
        _legend(column[0], drawn[0], labels, title, beside)
    _reference_lines(column[0], [arm for arm, _ in pairs], rows[0], drawn[0])
    column[-1].set_xlabel("samples" if against == "samples" else "steps")


def looks(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How each arm of a column is drawn: the reference in blue, the others leading up to it in order."""
    others = [arm for arm, reference in pairs if arm is not reference]
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


def _draw(axes: Axes, rows: pd.DataFrame, metric: str, against: Unit, stagger: float, **look: Any) -> Line2D:
    table = rows.pivot(index="step", columns="seed", values=metric).dropna(how="all")
    table = table.iloc[:: max(1, math.ceil(len(table) / MOST_POINTS))]
    samples = rows[rows[metric].notna()].groupby("step")["samples"].median()
    x = (samples.loc[table.index] if against == "samples" else table.index).to_numpy()
    low, high = statistics.band(table.to_numpy(np.float64).T)
    axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    # markers of different arms at different places, so that arms which coincide can be told apart
    apart = max(1, len(x) // 7)
    markers = (round(stagger * apart), apart)
    (line,) = axes.plot(x, table.mean(axis=1), linewidth=1.8, markersize=4.5, markevery=markers, **look)
    return line


def _label(axes: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Names beside their lines, each at a height of its own; over the line where it never gets to that height."""
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


def _reference_lines(axes: Axes, drawn_arms: Sequence[Arm], metric: str, lines: Sequence[Line2D]) -> None:
    """Levels of ``reference/<name>`` for a loss, of ``reference/<name>_query`` for a ``query_loss``, where in view."""
    kind = metric.rpartition("/")[2]
    if not kind.endswith("loss"):
        return
    suffix = kind.removesuffix("loss").rstrip("_")
    known = [column for column in drawn_arms[0].rows if column.startswith("reference/")]
    measured = [c.removeprefix("val/").removesuffix("_loss") for c in drawn_arms[0].rows if c.endswith("_loss")]
    # reference/least_squares goes with the loss, reference/ridge_query with the query_loss.
    columns = [
        c for c in known if (c.endswith(f"_{suffix}") if suffix else not any(c.endswith(f"_{m}") for m in measured))
    ]
    lowest, highest = axes.get_ylim()
    place = 0.99
    for column in columns:
        name = column.removeprefix("reference/").removesuffix(f"_{suffix}" if suffix else "").replace("_", " ")
        levels = [arm.rows[column].mean() for arm in drawn_arms]
        same = np.ptp(levels) <= 1e-6 * abs(levels[0]) if np.isfinite(levels).all() else False
        for level, line in [(levels[0], None)] if same else zip(levels, lines, strict=True):
            if not np.isfinite(level) or level > highest:
                continue
            color = GREY if line is None else line.get_color()
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
            place -= 0.24  # labels of levels that are close stand side by side
    axes.set_ylim(lowest, highest)


def _legend(axes: Axes, lines: Sequence[Line2D], names: Sequence[str], title: str, beside: bool) -> None:
    """Above the panel, or beside it where it is long: never over the curves."""
    axes.legend(
        lines,
        names,
        title=title or None,
        loc="upper left" if beside else "lower left",
        bbox_to_anchor=(1, 1) if beside else (0, 1),
        alignment="left",
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        handlelength=3.5,
    )


def _with_speed_ups(
    names: Sequence[str], pairs: Sequence[Pair], metric: str, target: float, against: Unit
) -> list[str]:
    """``4096: 3.1× [2.5, 4]`` for every arm but the reference."""
    times = {id(arm): statistics.time_to_target(arm.rows, metric, target) for pair in pairs for arm in pair}
    labels = []
    for name, (arm, reference) in zip(names, pairs, strict=True):
        gain = statistics.speed_up(times[id(arm)], times[id(reference)], against)
        text = ratio(*gain) if np.isfinite(gain.value) else "not reached"
        labels.append(f"{name}: {'reference' if arm is reference else text}")
    return labels


def clean(axes: Axes) -> None:
    """Few lines, and counts as people write them."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: quantity(count)))
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
