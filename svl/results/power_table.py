"""The table of ``svl power``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from svl.console import plain
from svl.errors import SettingError
from svl.results import power, statistics
from svl.results.arms import arms
from svl.results.comparison import FEWEST, Times
from svl.results.quantity import significant
from svl.results.reported_run import ReportedRun
from svl.results.tables import verdict_columns


def table(run: ReportedRun, gains: Sequence[float], wanted: float = power.CHANCE) -> Table:
    """One row for each compared arm: its speed-up so far, and the seeds that it and other speed-ups would need.

    Args:
        run: with a target and at least two arms.
        gains: speed-ups.
        wanted: the probability of a verdict in the direction of the speed-up.

    Raises:
        SettingError: if the run has no target, no compared arms, or too few seeds to say anything about their spread.
    """
    target, vary = run.summary["target"], run.summary["vary"]
    compared = [row for row in run.summary["arms"] if row.get("speed_up")]
    if not target or not compared:
        raise SettingError("RUN", run.name, "a run with a target and at least two arms, whose times are compared")
    seeds = min(row["speed_up"]["samples"]["seeds"] for row in compared)
    if seeds < FEWEST:
        raise SettingError("RUN", run.name, f"a run with at least {FEWEST} seeds that its arms share, not {seeds}")
    times = {
        arm.label: statistics.time_to_target(arm.rows, target["metric"], target["value"])
        for arm in arms(run.history, vary)
    }
    columns = verdict_columns(run.summary)
    headings = ["seeds for this", *(f"for {significant(gain)} times" for gain in gains)]
    rows = [_needed(row, times, gains, wanted, len(compared)) for row in compared]
    columns |= {name: list(cells) for name, cells in zip(headings, zip(*rows, strict=True), strict=True)}
    caption = (
        f"Seeds with which a verdict has a probability of {wanted:.0%}, estimated from {seeds} seeds."
        f" > {power.MOST:,}: so many do not suffice. -: too few of these seeds reached the target."
    )
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name, cells in columns.items():
        shown.add_column(Text(name), justify="right" if cells[0].isdigit() else "left")
    for row_cells in zip(*columns.values(), strict=True):
        shown.add_row(*plain(row_cells))
    return shown


def _needed(
    row: Mapping[str, Any], times: Mapping[str, Any], gains: Sequence[float], wanted: float, comparisons: int
) -> list[str]:
    """The cells of one arm: the seeds for its own speed-up, then for each of the others."""
    arm, reference = times[row["label"]], times[row["reference"]]
    common = arm.index.intersection(reference.index)
    arm, reference = arm.loc[common], reference.loc[common]
    both = Times.of(arm, "samples"), Times.of(reference, "samples")
    log_ratios = [0.0, *(power.to_gain(arm, reference, gain) for gain in gains)]
    cells = []
    for log_ratio in log_ratios:
        known = math.isfinite(log_ratio)
        seeds = power.seeds_needed(*both, comparisons, log_ratio, wanted) if known else None
        cells.append("-" if not known else f"> {power.MOST:,}" if seeds is None else str(seeds))
    return cells
