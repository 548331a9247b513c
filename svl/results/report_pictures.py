"""The pictures of a report, inline SVG: curves of the metrics and the seeds' times to the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from svl.results import panels
from svl.results.arms import metrics
from svl.results.columns import MOST_COLUMNS, columns_of
from svl.results.inline_svg import inline_svg
from svl.results.question import goal
from svl.results.reported_run import ReportedRun

MOST_PANELS, MOST_FIGURES = 12, 48
"""The most pictures of one metric, and of all metrics except the target's; the others are only in the history."""


def pictures(run: ReportedRun, name: str) -> dict[str, Any]:
    """Curves by metric, the target's and the norm ratio first; times to the target; names of metrics without a picture.

    Args:
        name: the beginning of the pictures' ids.
    """
    vary, target = run.summary["vary"], run.summary["target"]
    targets = {target["metric"]: target["value"]} if target else {}

    def inline(figures: Mapping[str, Figure], number: int, text: str) -> list[Markup]:
        return [
            Markup(inline_svg(figure, f"{name}-{number}-{place}", f"{text}{', ' * bool(title)}{title}"))
            for place, (title, figure) in enumerate(figures.items())
        ]

    others = worth_a_picture(run.history, vary, targets)
    columns = min(len(columns_of(run.history, vary)), MOST_COLUMNS)
    shown = [*targets, *sorted(others[: MOST_FIGURES // columns], key=metrics(run.history, vary).index)]
    curves = {}
    for number, metric in enumerate(shown, 1):
        most = MOST_PANELS if metric in targets else MOST_COLUMNS
        figures = panels.curves(run.history, vary, metric, targets.get(metric), most=most)
        curves[metric] = inline(figures, number, f"Curves of {metric} against samples")
    first = {metric: curves.pop(metric) for metric in (*targets, "norm_ratio") if metric in curves}
    times = panels.times(run.history, vary, *next(iter(targets.items())), most=MOST_PANELS) if targets else {}
    return {
        "curves": first or curves,
        "others": curves if first else {},
        "time_figures": inline(times, 0, f"Samples at which each seed reached {goal(run.summary)}"),
        "left_out": others[len(shown) - len(targets) :],
    }


def worth_a_picture(rows: pd.DataFrame, vary: Sequence[str], excluded: Mapping[str, Any]) -> list[str]:
    """Metrics that change, ordered so that every family (the name before ``/``) is shown before a second of any."""
    families: Counter[str] = Counter()
    ranks = {}
    for metric in metrics(rows, vary):
        if metric not in excluded and not metric.startswith("reference/") and rows[metric].nunique() > 1:
            ranks[metric] = families[metric.partition("/")[0]]
            families[metric.partition("/")[0]] += 1
    return sorted(ranks, key=lambda metric: ranks[metric])
