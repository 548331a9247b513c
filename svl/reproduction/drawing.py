"""Draws a figure: its panels side by side, as the paper arranges them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome
from svl.reproduction.panel import Panel
from svl.reproduction.tuning import scores
from svl.results import statistics
from svl.results.arm_label import short_names
from svl.results.arms import Arm
from svl.results.learning_curves import fill, looks
from svl.results.quantity import setting, significant
from svl.results.style import GREY, clean, own_settings

MOST_COLUMNS = 3
_WIDE = 30
"""From this ratio of the largest to the smallest score on, the scores of rates are drawn on a logarithmic axis."""


@own_settings()
def draw(outcome: Outcome, panels: list[Panel]) -> Figure:
    """The panels from left to right and top to bottom, at most three in a row."""
    columns = min(len(panels), MOST_COLUMNS)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(0.4 + 4.9 * columns, 4.5 * rows), layout="constrained")
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=False):
        {"curves": _curves, "times": _times, "grid": _grid}[panel.kind](axes, outcome, panel)
    for axes in figure.axes[len(panels) :]:
        if not axes.has_data():
            axes.remove()
    return figure


def _names(outcome: Outcome, panel: Panel) -> list[str]:
    return panel.arms or list(outcome.arms)


def _curves(axes: Axes, outcome: Outcome, panel: Panel) -> None:
    """Means over seeds; the last arm is the reference of the speed-ups."""
    metric = panel.metric or outcome.metric
    for name in _names(outcome, panel):
        if metric not in outcome.arms[name]:
            raise SettingError("metric", metric, f"a metric of the history of {name}")
    arms = [Arm(dict(outcome.settings.get(name, {})), outcome.arms[name], name) for name in _names(outcome, panel)]
    target = outcome.target if metric == outcome.metric else None
    pairs = [(arm, arms[-1]) for arm in arms]
    fill([axes], [metric], panel.title, pairs, target, panel.against, False, len(arms) - 1)
    axes.set_ylabel(metric.replace("_", " "))
    if panel.log:
        axes.set_yscale("log")
    clean(axes)
    if target is not None:
        axes.axhline(target, color=GREY, linewidth=0.8, linestyle=":", zorder=1)


def _times(axes: Axes, outcome: Outcome, panel: Panel) -> None:
    """Median time to the target of each arm, with its interval; an open triangle if the target was not reached."""
    names = _names(outcome, panel)
    arms = [Arm({}, outcome.arms[name], name) for name in names]
    for place, (name, look) in enumerate(zip(names, looks([(arm, arms[-1]) for arm in arms]), strict=True)):
        times = outcome.times(name)
        median = statistics.median_time(times, panel.against)
        end = float(outcome.arms[name][panel.against].max())
        if not np.isfinite(median.value):
            axes.plot(place, end, marker="^", color=look["color"], markerfacecolor="none", markersize=8)
            continue
        low, high = (bound if np.isfinite(bound) else end for bound in (median.low, median.high))
        error = np.clip([[median.value - low], [high - median.value]], 0.0, None)
        axes.errorbar(place, median.value, yerr=error, marker="o", color=look["color"], capsize=3)
    axes.set_xticks(range(len(names)), names, rotation=30 if max(map(len, names)) > 8 else 0, ha="center")
    axes.set_ylabel(f"median {'samples' if panel.against == 'samples' else 'steps'} to {significant(outcome.target)}")
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def _grid(axes: Axes, outcome: Outcome, panel: Panel) -> None:
    """The mean over the run on the tuning seeds at every point of each arm's grid; a heatmap for two rates."""
    names = [name for name in _names(outcome, panel) if name in outcome.grids]
    frames = [outcome.grids[name] for name in names]
    rates = [key for key in frames[0] if "." in key and frames[0][key].nunique() > 1]
    common = [key for key in rates if all(key in frame for frame in frames)]
    # The rate of all layers is what the others are compared at the best of.
    tuned = sorted(common, key=lambda key: key != "model.optimizer.lr")[-2:]
    axes.set_title(panel.title, loc="left", fontsize=10)
    sign = 1 if statistics.is_better_above(outcome.metric) else -1
    if len(tuned) == 2:
        # Where more rates are tuned, each point shows the best value over the others.
        means = scores(frames[0], outcome.metric, rates).mean().groupby(level=tuned).max().unstack()
        image = axes.imshow(means.to_numpy(), origin="lower", aspect="auto", cmap="viridis")
        middle = np.nanmean(image.get_clim())
        for (row, column), value in np.ndenumerate(means.to_numpy(np.float64)):
            shade = "white" if value < middle else "black"
            axes.annotate(f"{sign * value:.2f}", (column, row), ha="center", va="center", fontsize=7, color=shade)
        axes.set_xticks(range(means.shape[1]), [setting(value) for value in means.columns])
        axes.set_yticks(range(means.shape[0]), [setting(value) for value in means.index])
        vertical, horizontal = short_names(tuned)
        axes.set_xlabel(horizontal)
        axes.set_ylabel(vertical)
        return
    arms = [Arm({}, frame, name) for name, frame in zip(names, frames, strict=True)]
    for name, frame, look in zip(names, frames, looks([(arm, arms[-1]) for arm in arms]), strict=True):
        tried = scores(frame, outcome.metric, tuned).mean()
        style = {key: look[key] for key in ("color", "marker", "linestyle")}
        axes.plot([point[0] for point in tried.index], sign * tried.to_numpy(), label=name, **style)
    axes.set_xscale("log")
    heights = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    if np.nanmin(heights) > 0 and np.nanmax(heights) > _WIDE * np.nanmin(heights):
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    values = sorted({value for frame in frames for value in frame[tuned[0]].unique()})
    axes.set_xticks(values, [setting(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(short_names(tuned)[0])
    axes.set_ylabel(f"mean {outcome.metric} over the run")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def curve(outcome: Outcome, name: str, metric: str, points: int = 50) -> dict[str, list[float | None]]:
    """The mean over seeds of an arm's metric with its 95 % band, at a few measurements, for the stored result."""
    rows = outcome.arms[name]
    table = rows.pivot(index="step", columns="seed", values=metric).dropna(how="all")
    table = table.iloc[np.unique(np.linspace(0, len(table) - 1, min(points, len(table))).astype(int))]
    low, high = statistics.band(table.to_numpy(np.float64).T, statistics.range_of(metric))
    samples = rows.groupby("step")["samples"].median().loc[table.index]
    columns = {"step": table.index, "samples": samples, "mean": table.mean(axis=1), "low": low, "high": high}
    return {key: [_short(value) for value in np.asarray(column, float)] for key, column in columns.items()}


def _short(value: float) -> float | None:
    """Five digits; None for values that JSON does not have."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
