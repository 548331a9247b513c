"""Tables of a run, as they are printed at its end and shown in its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from svl.console import plain
from svl.results import comparison, statistics
from svl.results.arm_label import short_names
from svl.results.arms import arms, metrics
from svl.results.quantity import quantity, ratio, setting, significant
from svl.results.summary import mean_of
from svl.results.verdict_words import remark, time_words

Columns = dict[str, list[str]]
"""The cells of a table by column."""


def table(summary: Mapping[str, Any]) -> Table:
    """One row per arm: its settings, final metric, samples to the target and speed-up; 80 columns fit one setting."""
    caption = f"{each_with(summary)}{intervals(summary)}"
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    columns = arm_columns(summary)
    for name, cells in columns.items():
        shown.add_column(Text(name), justify="right" if cells[0].isdigit() else "left")
    for row_cells in zip(*columns.values(), strict=True):
        shown.add_row(*plain(row_cells))
    return shown


def each_with(summary: Mapping[str, Any]) -> str:
    """``8 seeds each, `` if all arms have equally many seeds."""
    seeds = {row["seeds"] for row in summary["arms"]}
    return f"{_seeds(seeds.pop())} each, " if len(seeds) == 1 else ""


def intervals(summary: Mapping[str, Any]) -> str:
    """Which of the estimates have intervals, which depends on the number of seeds."""
    seeds = min(row["seeds"] for row in summary["arms"])
    compared = any(row.get("speed_up") for row in summary["arms"])
    if seeds == 1:
        return "no intervals: a single seed has none"
    if not summary["target"]:
        return "means with 95 % intervals"
    if seeds >= statistics.FEWEST_FOR_MEDIAN:
        return "means and medians with 95 % intervals"
    lacking = "medians and speed-ups" if compared and seeds < comparison.FEWEST else "medians"
    return f"means with 95 % intervals, which {lacking} of so few seeds lack"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def arm_columns(summary: Mapping[str, Any]) -> Columns:
    """The columns of :func:`table`."""
    target, rows = summary["target"], summary["arms"]
    metric = target["metric"] if target else next(iter(rows[0]["final"]), None)
    seeds, never, diverged = ([row.get(key) for row in rows] for key in ("seeds", "censored", "diverged"))
    columns = _settings(summary, rows)
    if len(set(seeds)) > 1:
        columns["seeds"] = list(map(str, seeds))
    if metric:
        columns |= _final_column(rows, metric)
    if target:
        columns[f"samples to {threshold(target)}"] = [_median(row["samples_to_target"]) for row in rows]
        if any(never):
            columns["never"] = [f"{count}/{of}" if count else "" for count, of in zip(never, seeds, strict=True)]
        if len(rows) > 1:
            columns["speed-up"] = [_speed_up_cell(row["speed_up"]) for row in rows]
    if any(diverged):
        columns["NaN"] = [f"{count}/{of}" if count else "" for count, of in zip(diverged, seeds, strict=True)]
    return columns


def final_columns(summary: Mapping[str, Any]) -> Columns:
    """Every metric's mean over seeds at the end, with its interval; one row per arm."""
    rows = summary["arms"]
    columns = _settings(summary, rows)
    for metric in rows[0]["final"]:
        columns |= _final_column(rows, metric)
    return columns


def time_columns(summary: Mapping[str, Any]) -> Columns:
    """Median times to the target, and how many seeds reached it or are censored; one row per arm."""
    rows = summary["arms"]
    columns = _settings(summary, rows)
    for unit in ("samples", "steps"):
        medians = [row[f"{unit}_to_target"] for row in rows]
        columns[f"median {unit}"] = [
            _median(entry) if entry["median"] is not None else f"not reached{_interval(entry)}" for entry in medians
        ]
    columns["reached"] = [f"{row['seeds'] - row['censored']}/{row['seeds']}" for row in rows]
    columns["censored"] = [f"{row['censored']}/{row['seeds']}" for row in rows]
    columns["chance of success %"] = [
        _mean({"mean": row["success"]["probability"], **row["success"]}, percent=True) for row in rows
    ]
    if any(row["censored"] for row in rows):
        columns["in words"] = [time_words(row) for row in rows]
    return columns


def verdict_columns(summary: Mapping[str, Any]) -> Columns:
    """The verdict and speed-up of every arm against its reference, also in steps if they differ; one row per arm."""
    rows = [row for row in summary["arms"] if row.get("speed_up")]
    columns = _settings(summary, rows)
    columns["verdict"] = [row["verdict"] for row in rows]
    columns["speed-up in samples"] = [_ratio(row["speed_up"]["samples"]) for row in rows]
    if any(row["speed_up"]["steps"] != row["speed_up"]["samples"] for row in rows):
        columns["in steps"] = [_ratio(row["speed_up"]["steps"]) for row in rows]
    columns[f"p{', corrected' * (len(rows) > 1)}"] = [_p(row["corrected_p"]) for row in rows]
    columns["seeds"] = [str(row["speed_up"]["samples"]["seeds"]) for row in rows]
    remarks = [remark(row, len(rows)) for row in rows]
    # What is the same for all arms is said once, with the answer.
    if len(set(remarks)) > 1:
        columns["in words"] = remarks
    return columns


def measured_table(rows: pd.DataFrame, vary: Sequence[str]) -> Table:
    """One row per arm: the mean of each metric over its seeds, with a 95 % interval.

    Args:
        rows: one per replica, as in a history.
        vary: names of the varied settings.
    """
    names, all_arms = metrics(rows, vary), arms(rows, vary)
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    shown.caption = f"{_seeds(all_arms[0].rows['seed'].nunique())} each, means with 95 % intervals"
    for name in short_names(vary):
        shown.add_column(Text(name))
    for name in names:
        shown.add_column(Text(f"{name} %" if name.endswith("accuracy") else name))
    for arm in all_arms:
        means = (mean_of(arm.rows[name], name) for name in names)
        entries = (
            {
                key: bound if math.isfinite(bound) else None
                for key, bound in zip(("mean", "low", "high"), mean, strict=True)
            }
            for mean in means
        )
        cells = (_mean(entry, name.endswith("accuracy")) for entry, name in zip(entries, names, strict=True))
        shown.add_row(*plain((*map(setting, arm.settings.values()), *cells)))
    return shown


def _settings(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Columns:
    named = zip(summary["vary"], short_names(summary["vary"]), strict=True)
    return {name: [setting(row["settings"][key]) for row in rows] for key, name in named}


def _final_column(rows: Sequence[Mapping[str, Any]], metric: str) -> Columns:
    percent = metric.endswith("accuracy")
    return {f"{metric}{' %' * percent}": [_mean(row["final"][metric], percent) for row in rows]}


def threshold(target: Mapping[str, Any]) -> str:
    """``90 %`` of an accuracy, ``≤ 0.1`` of a loss."""
    if target["metric"].endswith("accuracy"):
        return f"{significant(100 * target['value'])} %"
    return f"{'≥' if target['direction'] == 'above' else '≤'} {target['value']:.3g}"


def _mean(entry: Mapping[str, Any], percent: bool) -> str:
    if entry["mean"] is None:
        return "-"
    mean, *interval = (
        "-" if value is None else f"{100 * value:.1f}" if percent else f"{value:#.3g}"
        for value in (entry["mean"], entry["low"], entry["high"])
    )
    return mean if entry["low"] is None else f"{mean} [{', '.join(interval)}]"


def _median(entry: Mapping[str, Any]) -> str:
    return "-" if entry["median"] is None else quantity(entry["median"]) + _interval(entry)


def _interval(entry: Mapping[str, Any]) -> str:
    return "" if entry["low"] is None else f" [{quantity(entry['low'])}, {quantity(_open(entry['high']))}]"


def _speed_up_cell(speed_up: Mapping[str, Any] | None) -> str:
    return "reference" if speed_up is None else _ratio(speed_up["samples"])


def _ratio(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return "-"
    return ratio(entry["value"], entry["low"], _open(entry["high"]), entry["bound"])


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def _open(bound: float | None) -> float:
    return math.inf if bound is None else bound
