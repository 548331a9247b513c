"""The numbers that loggers receive of a measurement: every arm's means over seeds with 95 % intervals.

A metric is logged per arm as ``<metric>/<arm>`` (``val/accuracy/size=4096, lr=0.3``), its 95 % interval as
``low/<metric>/<arm>`` and ``high/<metric>/<arm>``, the share of seeds that have passed the target as ``success/<arm>``.
``mean/<metric>`` is over the replicas of all arms: one number per run, which a sweep can maximise.

A measurement is one row for each number of samples, with the arms that have processed that many: arms can have
processed different numbers of samples at one step (full batches of different sizes), but a chart has one x-axis. Where
all arms have the same batch size, there is a single row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy import ndarray

from svl.results import statistics
from svl.results.arm_label import arm_label

LOW, HIGH, SUCCESS, MEAN = "low", "high", "success", "mean"


def rows(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    arms: Mapping[str, Mapping[str, Any]],
    reached: Bool[ndarray, "replica"],
) -> list[dict[str, float]]:
    """The rows to log for one measurement: one for each number of samples processed, fewest first.

    Intervals are those of :func:`svl.results.statistics.mean`; where it has none, no bounds are logged. Those of
    success are Wilson's. The samples of an arm are the median over its seeds.

    Args:
        frame: the history's rows of the measurement, one per replica; all arms have equally many.
        metrics: columns to log; a metric that is NaN for all seeds of an arm is left out.
        arms: settings of each arm by its name in the column ``arm``.
        reached: for each row of ``frame``, whether its replica has passed the target.
    """
    places = frame.groupby("arm", sort=False).indices
    replicas = np.stack([places[name] for name in arms])  # arm, seed
    values = frame[list(metrics)].to_numpy(np.float64)[replicas]
    means, half = statistics.student(values.swapaxes(0, 1))
    within = np.array([statistics.range_of(metric) for metric in metrics]).reshape(-1, 2).T
    bounds = {"": means, f"{LOW}/": np.clip(means - half, *within), f"{HIGH}/": np.clip(means + half, *within)}
    samples = np.median(frame["samples"].to_numpy()[replicas], axis=1)
    logged: dict[float, dict[str, float]] = {count: {"samples": count} for count in np.sort(samples).tolist()}
    for place, (settings, passed) in enumerate(zip(arms.values(), reached[replicas], strict=True)):
        label, row = arm_label(settings), logged[samples[place]]
        for prefix, table in bounds.items():
            pairs = zip(metrics, table[place].tolist(), strict=True)
            row |= {f"{prefix}{metric}/{label}": value for metric, value in pairs if np.isfinite(value)}
        row |= zip(
            [f"{SUCCESS}/{label}", *intervals(SUCCESS, label)], _success(int(passed.sum()), passed.size), strict=True
        )
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        overall = np.where(finite, values, 0).sum((0, 1)) / finite.sum((0, 1))
    last = next(reversed(logged.values()))
    last |= {
        f"{MEAN}/{metric}": value for metric, value in zip(metrics, overall.tolist(), strict=True) if np.isfinite(value)
    }
    return [{"step": int(frame["step"].iloc[0]), **row} for row in logged.values()]


def values(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    arms: Mapping[str, Mapping[str, Any]],
    reached: Bool[ndarray, "replica"],
) -> dict[str, float]:
    """All numbers of :func:`rows` by name; NaN for those without a value.

    Args: as for :func:`rows`.
    """
    labels = [arm_label(settings) for settings in arms.values()]
    names = [f"{metric}/{label}" for label in labels for metric in metrics] + [f"{MEAN}/{metric}" for metric in metrics]
    logged = {name: value for row in rows(frame, metrics, arms, reached) for name, value in row.items()}
    return dict.fromkeys(names, np.nan) | logged


def reached(history: pd.DataFrame, metric: str, target: float) -> Bool[ndarray, "replica"]:
    """Whether each replica has passed the target so far, in the order of the last measurement's rows.

    Args:
        history: one row per measurement and replica.
    """
    passed = pd.Series(statistics.passes(history[metric].to_numpy(), metric, target), history.index)
    return passed.groupby([history["arm"], history["seed"]], sort=False).max().to_numpy(bool)


def intervals(metric: str, label: str) -> list[str]:
    """The names under which the bounds of an arm's metric are logged."""
    return [f"{LOW}/{metric}/{label}", f"{HIGH}/{metric}/{label}"]


@cache
def _success(reached: int, seeds: int) -> statistics.Estimate:
    return statistics.success(np.arange(seeds) < reached)
