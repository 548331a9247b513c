"""The figure of a run: the learning curves of its arms, and below them how their weights grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from svl.errors import SettingError
from svl.results.arms import metrics
from svl.results.atomic import replacing
from svl.results.columns import MOST_COLUMNS, columns_of, comparisons, thinned
from svl.results.learning_curves import MOST_LABELS, fill
from svl.results.statistics import Unit
from svl.results.style import GREY, clean, own_settings


@own_settings()
def curves(
    history: pd.DataFrame,
    vary: Sequence[str],
    metric: str = "val/accuracy",
    target: float | None = 0.9,
    reference: Mapping[str, Any] | None = None,
    below: str = "norm_ratio",
    against: Unit = "samples",
) -> Figure:
    """Mean of a metric over seeds: one line per arm, one column for each value of the settings that are not compared.

    Bands are 95 % intervals of the mean over seeds (``statistics.band``). Where the seeds of an
    arm have processed different numbers of samples at a step, the horizontal axis has their median. The losses of
    reference predictors (columns ``reference/...``) are dashed lines: grey where all arms have the same loss, else in
    the arm's colour.

    Args:
        metric: of the upper row.
        target: drawn as a line, with the speed-ups to it in the legend; None for neither.
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
        fill(list(column), rows, title, pairs, target, against, crowded, comparisons(columns))
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


@own_settings()
def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write ``path``.png and ``path``.svg, each completely or not at all; equal figures make equal files."""
    path = Path(path)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # one layout serves both files
    written = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
    for file in written:
        metadata = {"Date": None} if file.suffix == ".svg" else None
        with mpl.rc_context({"svg.hashsalt": "svl"}), replacing(file) as temporary:
            figure.savefig(temporary, format=file.suffix[1:], dpi=150, metadata=metadata)
    return written
