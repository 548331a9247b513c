"""The results of a run: ``summary.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.results import comparison, statistics
from svl.results.arms import Arm, arms, large, metrics, references
from svl.results.atomic import replacing
from svl.results.files import SUMMARY

INTERVALS = "95 %: Student's t, order statistics, Wilson, permutation tests with Holm's correction"
"""How the intervals and verdicts of a summary were made; older ones do not say."""


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
        others = sum(arm is not against for arm, against in zip(all_arms, compared, strict=True))
        for entry, arm, against in zip(summaries, all_arms, compared, strict=True):
            alone, pair = arm is against, (times[arm.label], times[against.label])
            entry |= _to_target(times[arm.label])
            entry["reference"] = None if alone else against.label
            entry["speed_up"] = None if alone else _speed_up(*pair, others)
        _judge([entry for entry in summaries if entry["speed_up"]])
    direction = None if metric is None else "above" if statistics.is_better_above(metric) else "below"
    return _jsonable(
        {
            "vary": list(vary),
            "target": None if metric is None else {"metric": metric, "value": target, "direction": direction},
            "reference": large(all_arms) if reference is None else dict(reference),
            "intervals": INTERVALS,
            "arms": summaries,
            **(extra or {}),
        }
    )


def write(run_dir: str | Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary.json``, completely or not at all."""
    with replacing(Path(run_dir) / SUMMARY) as path:
        path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _final(arm: Arm, names: Sequence[str]) -> dict[str, Any]:
    final = {}
    for name in names:
        values = statistics.value_at(arm.rows, name)
        final[name] = _named(mean_of(values, name), "mean") | {"seeds": int(np.isfinite(values).sum())}
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


def mean_of(values: pd.Series, metric: str) -> statistics.Estimate:
    """The mean of a metric over seeds, with its interval."""
    return statistics.mean(values.to_numpy(np.float64), statistics.range_of(metric))


def _speed_up(arm: pd.DataFrame, against: pd.DataFrame, comparisons: int) -> dict[str, Any]:
    samples = comparison.speed_up(arm, against, "samples", comparisons)
    # Where both arms process as many samples in a step, ratios of steps are those of samples.
    per_step = pd.concat([times["samples"] / times["step"].where(times["step"] > 0) for times in (arm, against)])
    alike = per_step.dropna().nunique() <= 1
    steps = samples if alike else comparison.speed_up(arm, against, "step", comparisons)
    return {"samples": samples._asdict(), "steps": steps._asdict()}


def _judge(entries: Sequence[dict[str, Any]]) -> None:
    """Add the verdicts, with p-values that are corrected for the number of arms that are compared."""
    gains = [entry["speed_up"]["samples"] for entry in entries]
    corrected = comparison.holm([gain["p"] for gain in gains])
    for entry, gain, p in zip(entries, gains, corrected, strict=True):
        entry |= {"corrected_p": p, "verdict": comparison.verdict(gain, p, len(entries))}


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
