"""The figure of an advice: the race, the confirming run, and the gain beside its margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from svl.advising.advice import Advice
from svl.advising.problem import Problem
from svl.results.arms import Arm
from svl.results.learning_curves import fill
from svl.results.quantity import significant
from svl.results.style import GREY, RAMP, clean, own_settings

MOST_CANDIDATES = 16
"""Candidates of a round that are drawn, the best ones."""
_WIDTH = 62
"""Letters of the longest candidate's name."""


@own_settings()
def draw(
    problem: Problem,
    rounds: Sequence[Sequence[Mapping[str, Any]]],
    advice: Advice,
    histories: Mapping[str, pd.DataFrame],
) -> Figure:
    """Three panels: gains of all candidates in the race, learning curves on the new seeds, the confirmed gain.

    Args:
        rounds: the race's standings, as in ``advice.json``.
        histories: of the confirming run, by the arms' names: the winner's, then fresh data.
    """
    figure = Figure(figsize=(15.5, 5), layout="constrained")
    race, curves, gain = figure.subplots(1, 3, width_ratios=[3.2, 4, 2])
    _race(race, rounds, advice)
    _curves(curves, problem, advice, histories)
    _gain(gain, advice, _labels(problem, advice))
    figure.suptitle(_folded(advice.sentence), fontsize=10.5, ha="left", x=0.01, fontweight="bold")
    return figure


def _race(axes: Axes, rounds: Sequence[Sequence[Mapping[str, Any]]], advice: Advice) -> None:
    """A row for each candidate, the last to remain at the top; a marker for each round that it was in."""
    names: dict[str, None] = {}
    for standings in reversed(rounds):
        names |= dict.fromkeys(row["candidate"] for row in standings)
    shown = list(names)[:MOST_CANDIDATES]
    key = "final" if advice.by == "metric" else "gain"
    for number, standings in enumerate(rounds):
        points = [(row[key], shown.index(row["candidate"])) for row in standings if row["candidate"] in shown]
        x, y = zip(*points, strict=True)
        seeds = standings[0]["seeds"]
        look: dict[str, Any] = {"color": RAMP(number / max(1, len(rounds) - 1)), "s": 20 + 18 * number, "alpha": 0.85}
        axes.scatter(x, y, label=f"round {number + 1}, {seeds} seeds", zorder=2 + number, **look)
    axes.set_yticks(range(len(shown)), [name[:_WIDTH] for name in shown], fontsize=8)
    axes.invert_yaxis()
    if key == "gain":
        axes.axvline(1, color=GREY, linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.set_xlabel("steps of fresh data over its own" if key == "gain" else "metric at the end, best rate")
    axes.set_title("the race: each at its best rate", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _curves(axes: Axes, problem: Problem, advice: Advice, histories: Mapping[str, pd.DataFrame]) -> None:
    """Means over the new seeds, the winner's and those of fresh data."""
    names = ["winner", *_labels(problem, advice)]
    arms = [Arm({}, rows, name) for name, rows in zip(names, histories.values(), strict=True)]
    fill([axes], [problem.metric], "", [(arm, arms[-1]) for arm in arms], None, "step", False, len(arms) - 1)
    axes.axhline(problem.target, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_ylabel(problem.metric)
    clean(axes)
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()  # the lines have their names beside them
    axes.set_title(f"{advice.seeds[1]} new seeds; winner: {advice.arm}"[: _WIDTH + 20], loc="left", fontsize=10)


def _labels(problem: Problem, advice: Advice) -> list[str]:
    """Names of the arms on all data: the one at its best rate, then the one at the winner's."""
    data = "all" if problem.extent.stored else "fresh"
    return [f"{data}, best rate", f"{data}, same rate"][: len(advice.gains)]


def _gain(axes: Axes, advice: Advice, labels: Sequence[str]) -> None:
    """The gain over each arm on fresh data with its bounds, beside the margin."""
    none = 0.0 if advice.by == "metric" else 1.0
    for place, gain in enumerate(advice.gains.values()):
        value, low, high = (_number(gain[key]) for key in ("value", "low", "high"))
        color = RAMP(0.0) if advice.recommendation == "repeat" else GREY
        axes.plot(place, value, "o", color=color)
        axes.vlines(place, low, high, color=color, linewidth=2)
        if not math.isnan(value):
            axes.annotate(
                significant(value), (place, value), (6, 0), textcoords="offset points", va="center", fontsize=9
            )
    axes.axhline(none, color=GREY, linewidth=0.8)
    axes.axhline(advice.margin, color="black", linewidth=1, linestyle="--")
    axes.annotate(
        f"margin {significant(advice.margin)}",
        (0.02, advice.margin),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=8,
    )
    axes.set_xticks(range(len(labels)), [f"over {label}".replace(", ", ",\n") for label in labels], fontsize=8)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.margins(y=0.15)
    what = "difference of the metric" if advice.by == "metric" else "gain in steps"
    axes.set_title(f"{what}, 95 % bounds", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _folded(text: str, width: int = 165) -> str:
    """A text in lines of at most so many letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f"{' ' * bool(lines[-1])}{word}"
    return "\n".join(lines)
