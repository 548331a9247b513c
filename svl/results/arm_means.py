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
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import special

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

    Intervals are Student's, mean +- t s / sqrt(n) over the finite seeds: a bootstrap of hundreds of columns would cost
    more than their measurement. Those of success are Wilson's. The samples of an arm are the median over its seeds.

    Args:
        frame: the history's rows of the measurement, one per replica; all arms have equally many.
        metrics: columns to log; a metric that is NaN for all seeds of an arm is left out.
        arms: settings of each arm by its name in the column ``arm``.
        reached: for each row of ``frame``, whether its replica has passed the target.
    """
    places = frame.groupby("arm", sort=False).indices
    replicas = np.stack([places[name] for name in arms])  # arm, seed
    values = frame[list(metrics)].to_numpy(np.float64)[replicas]
    means, half = student(values)
    bounds = {"": means, f"{LOW}/": means - half, f"{HIGH}/": means + half}
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


def student(
    values: Float[ndarray, "arm seed metric"],
) -> tuple[Float[ndarray, "arm metric"], Float[ndarray, "arm metric"]]:
    """Mean over the finite seeds, and half the width of its 95 % t interval, NaN for fewer than two."""
    finite = np.isfinite(values)
    count = finite.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0).sum(1) / count
        squares = np.where(finite, values - mean[:, None], 0) ** 2
        error = np.sqrt(squares.sum(1) / (count - 1) / count)
        return mean, special.stdtrit(count - 1, statistics.HIGH) * error


@cache
def _success(reached: int, seeds: int) -> statistics.Estimate:
    return statistics.success(np.arange(seeds) < reached)
