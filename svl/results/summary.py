"""The results of a run: ``summary.json``, and the tables made from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from svl.errors import SettingError
from svl.results import statistics
from svl.results.arm_label import short_names
from svl.results.arms import Arm, arms, large, metrics, references
from svl.results.atomic import replacing
from svl.results.quantity import quantity, ratio, setting, significant

SUMMARY = "summary.json"


def summarise(
    history: pd.DataFrame,
    vary: Sequence[str],
    metric: str | None = "val/accuracy",
    target: float = 0.9,
    reference: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Statistics of every arm, ready for JSON; values that are infinite (never reached) or unknown are None.

    Args:
        vary: names of the varied settings.
        metric: the metric that has to pass ``target``; None if the run has no target.
        reference: settings of the arms to compare with, by default the large ones (``arms.large``).
        extra: further entries: wall seconds, versions, git commit, command.

    Raises:
        SettingError: if ``metric`` is not in the history or no arm is the ``reference``.
    """
    if metric is not None and metric not in metrics(history, vary):
        raise SettingError("metric", metric, f"one of {', '.join(metrics(history, vary))}")
    all_arms = arms(history, vary)
    summaries = [_final(arm, metrics(history, vary)) for arm in all_arms]
    if metric is not None:
        compared = references(all_arms, reference)
        times = {arm.label: statistics.time_to_target(arm.rows, metric, target) for arm in all_arms}
        for entry, arm, against in zip(summaries, all_arms, compared, strict=True):
            entry |= _to_target(times[arm.label])
            entry["reference"] = None if arm is against else against.label
            entry["speed_up"] = None if arm is against else _speed_up(times[arm.label], times[against.label])
    direction = None if metric is None else "above" if statistics.is_better_above(metric) else "below"
    return _jsonable(
        {
            "vary": list(vary),
            "target": None if metric is None else {"metric": metric, "value": target, "direction": direction},
            "reference": large(all_arms) if reference is None else dict(reference),
            "arms": summaries,
            **(extra or {}),
        }
    )


def write(run_dir: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, completely or not at all."""
    with replacing(Path(run_dir) / SUMMARY) as path:
        path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")


Columns = dict[str, list[str]]
"""The cells of a table by column."""


def table(summary: Mapping[str, Any]) -> Table:
    """One row per arm: its settings, final metric, samples to the target and speed-up; 80 columns fit one setting."""
    caption = f"{each_with(summary)}means and medians with 95 % intervals"
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    columns = arm_columns(summary)
    for name, cells in columns.items():
        shown.add_column(escape(name), justify="right" if cells[0].isdigit() else "left")
    for row_cells in zip(*columns.values(), strict=True):
        shown.add_row(*map(escape, row_cells))
    return shown


def each_with(summary: Mapping[str, Any]) -> str:
    """``8 seeds each, `` if all arms have equally many seeds."""
    seeds = {row["seeds"] for row in summary["arms"]}
    return f"{seeds.pop()} seeds each, " if len(seeds) == 1 else ""


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
    return columns


def verdict_columns(summary: Mapping[str, Any]) -> Columns:
    """The verdict and speed-up of every arm against its reference, also in steps if they differ; one row per arm."""
    rows = [row for row in summary["arms"] if row.get("speed_up")]
    columns = _settings(summary, rows)
    columns["verdict"] = [verdict(row["speed_up"]["samples"]) for row in rows]
    columns["speed-up in samples"] = [_ratio(row["speed_up"]["samples"]) for row in rows]
    if any(row["speed_up"]["steps"] != row["speed_up"]["samples"] for row in rows):
        columns["in steps"] = [_ratio(row["speed_up"]["steps"]) for row in rows]
    p_values = [row["speed_up"]["samples"]["logrank_p"] for row in rows]
    columns["log-rank p"] = ["-" if p is None else f"{p:.2g}" for p in p_values]
    return columns


def verdict(speed_up: Mapping[str, Any]) -> str:
    """``faster`` or ``slower`` where the interval of a speed-up excludes 1, else ``undecided``."""
    if speed_up["low"] is None:  # there is a single seed
        return "undecided"
    return "faster" if speed_up["low"] > 1 else "slower" if _open(speed_up["high"]) < 1 else "undecided"


def measured_table(rows: pd.DataFrame, vary: Sequence[str]) -> Table:
    """One row per arm: the mean of each metric over its seeds, with a 95 % interval.

    Args:
        rows: one per replica, as in a history.
        vary: names of the varied settings.
    """
    names, all_arms = metrics(rows, vary), arms(rows, vary)
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    shown.caption = f"{all_arms[0].rows['seed'].nunique()} seeds each, means with 95 % intervals"
    for name in short_names(vary):
        shown.add_column(escape(name))
    for name in names:
        shown.add_column(escape(f"{name} %" if name.endswith("accuracy") else name))
    for arm in all_arms:
        means = (_named(statistics.mean(arm.rows[name].to_numpy(np.float64)), "mean") for name in names)
        cells = (_mean(_jsonable(mean), name.endswith("accuracy")) for mean, name in zip(means, names, strict=True))
        shown.add_row(*map(escape, (*map(setting, arm.settings.values()), *cells)))
    return shown


def _final(arm: Arm, names: Sequence[str]) -> dict[str, Any]:
    final = {}
    for name in names:
        values = statistics.value_at(arm.rows, name).to_numpy(np.float64)
        final[name] = _named(statistics.mean(values), "mean") | {"seeds": int(np.isfinite(values).sum())}
    return {
        "label": arm.label,
        "settings": arm.settings,
        "seeds": arm.rows["seed"].nunique(),
        "diverged": arm.rows.loc[statistics.diverged(arm.rows), "seed"].nunique(),
        "steps": arm.rows["step"].max(),
        "samples": arm.rows["samples"].max(),
        "final": final,
    }


def _to_target(times: pd.DataFrame) -> dict[str, Any]:
    return {
        "success": _named(statistics.success(times["reached"].to_numpy(bool)), "probability"),
        "censored": int((~times["reached"]).sum()),
        "steps_to_target": _named(statistics.median_time(times, "step"), "median"),
        "samples_to_target": _named(statistics.median_time(times, "samples"), "median"),
    }


def _speed_up(arm: pd.DataFrame, against: pd.DataFrame) -> dict[str, Any]:
    def compared(unit: statistics.Unit) -> dict[str, Any]:
        gain = statistics.speed_up(arm, against, unit)
        return {**gain._asdict(), "logrank_p": statistics.logrank_p(arm, against, unit)}

    return {"samples": compared("samples"), "steps": compared("step")}


def _named(estimate: statistics.Estimate, name: str) -> dict[str, float]:
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}


def _jsonable(value: Any) -> Any:
    """Plain Python values; None for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


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


def _open(bound: float | None) -> float:
    return math.inf if bound is None else bound
