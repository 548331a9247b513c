"""The pictures of a report: curves of the metrics, the seeds' times to the target, and the numbers behind the curves.

Each picture is inline SVG, for print and for browsers without JavaScript; the page's script draws the curves anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from svl.results import panels
from svl.results.arms import metrics
from svl.results.columns import MOST_COLUMNS, thinned
from svl.results.curve_data import curve_data
from svl.results.inline_svg import inline_svg
from svl.results.question import goal
from svl.results.reported_run import ReportedRun

MOST_PANELS, MOST_FIGURES = 12, 48
"""The most pictures of one metric, and of all metrics except the target's; the others are only in the history."""


class Picture(NamedTuple):
    """A picture on the page.

    Attributes:
        svg: the ``<svg>`` element.
        caption: metric and settings of the curves; empty for another picture.
        number: of the figure in the page's data.
    """

    svg: Markup
    caption: str = ""
    number: int | None = None


def pictures(run: ReportedRun, name: str) -> dict[str, Any]:
    """Curves by metric, the target's and the norm ratio first; times to the target; names of metrics without a picture.

    Args:
        name: the beginning of the pictures' ids.
    """
    vary, target = run.summary["vary"], run.summary["target"]
    targets = {target["metric"]: target["value"]} if target else {}
    columns = panels.columns_of(run.history, vary)

    others = worth_a_picture(run.history, vary, targets)
    most_others = MOST_FIGURES // min(len(columns), MOST_COLUMNS)
    shown = [*targets, *sorted(others[:most_others], key=metrics(run.history, vary).index)]
    most = {metric: MOST_PANELS if metric in targets else MOST_COLUMNS for metric in shown}
    titles = {metric: list(thinned(columns, most[metric])) for metric in shown}
    drawn = {title: columns[title] for title in columns if any(title in panel for panel in titles.values())}
    data = curve_data(drawn, titles, target)
    numbers = {(figure["metric"], figure["title"]): number for number, figure in enumerate(data["figures"])}

    def inline(figures: Mapping[str, Figure], place: int, text: str, metric: str = "") -> list[Picture]:
        return [
            Picture(
                Markup(inline_svg(figure, f"{name}-{place}-{panel}", f"{text}{', ' * bool(title)}{title}")),
                f"{metric.replace('_', ' ')}{', ' * bool(metric and title)}{title}",
                numbers.get((metric, title)),
            )
            for panel, (title, figure) in enumerate(figures.items())
        ]

    curves = {}
    for place, metric in enumerate(shown, 1):
        figures = panels.curves(run.history, vary, metric, targets.get(metric), most=most[metric])
        curves[metric] = inline(figures, place, f"Curves of {metric} against samples", metric)
    first = {metric: curves.pop(metric) for metric in (*targets, "norm_ratio") if metric in curves}
    times = panels.times(run.history, vary, *next(iter(targets.items())), most=MOST_PANELS) if targets else {}
    return {
        "curves": first or curves,
        "others": curves if first else {},
        "time_figures": inline(times, 0, f"Samples at which each seed reached {goal(run.summary)}"),
        "left_out": others[len(shown) - len(targets) :],
        "panels_left_out": len(columns) - len(drawn),
        "data": data,
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
