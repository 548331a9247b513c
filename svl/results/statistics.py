"""Estimates over seeds: means, probabilities of success, times to a target.

Every interval is a 95 % interval. ``docs/statistics.md`` says how often each holds the truth in simulations. The bounds
are NaN where seeds cannot give an interval: for a single seed, for seeds that are all equal, for a median of fewer than
five. A time to target is right-censored if the target was never passed: it is only known to exceed the last finite
measurement.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import special, stats

LOW, HIGH = 0.025, 0.975
LEVEL = HIGH - LOW
FEWEST_FOR_MEDIAN = 5
"""The interval from the first to the last of five values holds the median with a probability of 93.75 %."""

Unit = Literal["step", "samples"]


class Estimate(NamedTuple):
    """A value with its 95 % interval; the bounds are NaN where the seeds cannot give one."""

    value: float
    low: float
    high: float


def is_better_above(metric: str) -> bool:
    """Whether a metric passes its target from below, as accuracies do, or from above, as losses and perplexities do."""
    return not metric.endswith(("loss", "perplexity"))


def passes(values: Float[ndarray, "..."], metric: str, value: float) -> Bool[ndarray, "..."]:
    """Which of a metric's values pass its target ``value``."""
    return np.asarray(values >= value if is_better_above(metric) else values <= value)


def range_of(metric: str) -> tuple[float, float]:
    """The least and the greatest value that a metric can have, as far as its name says so."""
    if metric.endswith("accuracy"):
        return 0.0, 1.0
    return (1.0 if metric.endswith("perplexity") else -np.inf), np.inf


def student(values: Float[ndarray, "seed *metric"]) -> tuple[Float[ndarray, "*metric"], Float[ndarray, "*metric"]]:
    """Means over the finite seeds, and half the widths of their 95 % t intervals: t s / sqrt(n).

    Half the width is NaN for fewer than two finite seeds, and where all are equal: the spread is then unknown.

    Source: Student 1908.
    """
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    count = finite.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0).sum(0) / count
        squares = np.where(finite, values - mean, 0) ** 2
        half = special.stdtrit(count - 1, HIGH) * np.sqrt(squares.sum(0) / (count - 1) / count)
    spread = np.where(finite, values, -np.inf).max(0, initial=-np.inf) > np.where(finite, values, np.inf).min(
        0, initial=np.inf
    )
    return np.asarray(mean), np.where(spread, half, np.nan)


def mean(values: Float[ndarray, "seed"], within: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """Mean over the finite seeds with Student's interval (:func:`student`).

    Args:
        within: the range of the values (:func:`range_of`), to which the interval is clipped.
    """
    value, half = student(values)
    return Estimate(float(value), *np.clip([value - half, value + half], *within).tolist())


def band(
    values: Float[ndarray, "seed point"], within: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[Float[ndarray, "point"], Float[ndarray, "point"]]:
    """The bounds of :func:`mean` at every point."""
    value, half = student(values)
    return np.clip(value - half, *within), np.clip(value + half, *within)


def success(reached: Bool[ndarray, "seed"]) -> Estimate:
    """Probability that a seed passes the target, with Wilson's interval; a seed that diverged earlier did not pass."""
    test = stats.binomtest(int(np.sum(reached)), len(reached))
    return Estimate(float(test.statistic), *map(float, test.proportion_ci(method="wilson")))


def diverged(rows: pd.DataFrame) -> Bool[ndarray, "row"]:
    """Which rows belong to a replica that had diverged by that step."""
    return rows["diverged"].eq(True).to_numpy(bool)


def value_at(rows: pd.DataFrame, metric: str, budget: float = np.inf, unit: Unit = "samples") -> pd.Series:
    """Each seed's last logged value of ``metric`` within a budget of ``unit``; NaN if it had diverged by then."""
    logged = (rows[metric].notna() | diverged(rows)) & (rows[unit] <= budget)
    return rows[logged].drop_duplicates("seed", keep="last").set_index("seed")[metric].reindex(rows["seed"].unique())


def paired_difference(arm: pd.DataFrame, reference: pd.DataFrame, metric: str, samples: float = np.inf) -> Estimate:
    """Mean over common seeds of (arm - reference) in ``metric``, both after at most ``samples`` examples."""
    difference = value_at(arm, metric, samples) - value_at(reference, metric, samples)
    low, high = range_of(metric)
    return mean(difference.to_numpy(np.float64), (low - high, high - low))


def time_to_target(rows: pd.DataFrame, metric: str, target: float) -> pd.DataFrame:
    """The first measurement at which each seed's ``metric`` passes ``target``.

    Returns:
        one row per seed: ``step`` and ``samples`` of the first passing measurement and ``reached`` = True; without one,
        those of the last finite measurement (0 if there is none) and ``reached`` = False.
    """
    finite = rows[np.isfinite(rows[metric])]
    passing = finite[passes(finite[metric].to_numpy(), metric, target)]
    seeds = pd.Index(rows["seed"].unique(), name="seed")
    first = passing.groupby("seed")[["step", "samples"]].min().reindex(seeds)
    last = finite.groupby("seed")[["step", "samples"]].max().reindex(seeds, fill_value=0)
    return first.fillna(last).astype(np.int64).assign(reached=first["step"].notna())


def median_times(
    times: Float[ndarray, "seed"], reached: Bool[ndarray, "seed"], weights: Float[ndarray, "resample seed"]
) -> Float[ndarray, "resample"]:
    """The Kaplan-Meier median of right-censored times, for many weightings of the seeds at once.

    The median is the first t with S(t) <= 1/2, where S(t) = prod_{t_i <= t} (1 - events_i / at_risk_i); it is infinite
    if S stays above 1/2.

    Args:
        times: time of the event, or of the last measurement if there was no event.
        reached: whether there was an event.
        weights: how often each seed counts: ones for the sample itself, others for its bootstrap.
    """
    # Events come before censorings at the same time: seeds that are censored at t were still at risk at t.
    order = np.lexsort((~reached, times))
    times, reached, weights = times[order], reached[order], weights[:, order]
    at_risk = weights[:, ::-1].cumsum(1)[:, ::-1]
    survival = np.cumprod(1 - weights * reached / np.maximum(at_risk, 1), axis=1)
    # 15/16 * 14/15 * ... * 8/9 is one half up to rounding.
    passed = survival <= 0.5 + 1e-9
    return np.where(passed.any(1), times[passed.argmax(1)], np.inf)


def median_time(times: pd.DataFrame, unit: Unit) -> Estimate:
    """The Kaplan-Meier median time to target with an interval between two of the seeds' times.

    The median is infinite if half of the seeds do not reach the target. The interval is that of order statistics, which
    assumes nothing about the distribution; it needs five seeds. A seed that is censored counts for the lower bound as
    if it had reached the target then, for the upper bound as if it never did.

    Source: Hettmansperger and Sheather 1986 (the interpolation between order statistics).

    Args:
        times: as from ``time_to_target``.
    """
    at, reached = times[unit].to_numpy(np.float64), times["reached"].to_numpy(bool)
    value = float(median_times(at, reached, np.ones((1, len(at))))[0])
    if len(at) < FEWEST_FOR_MEDIAN:
        return Estimate(value, np.nan, np.nan)
    outer, share = _order_statistics(len(at))
    soonest, latest = np.sort(at), np.sort(np.where(reached, at, np.inf))[::-1]
    low, high = (_between(ordered[outer - 1], ordered[outer], share) for ordered in (soonest, latest))
    return Estimate(value, low, high)


@cache
def _order_statistics(seeds: int) -> tuple[int, float]:
    """The order statistic, counted from 1, that bounds the median, and the share of the way to the next one."""
    # Probability that the median lies between the k-th value from below and the k-th from above.
    holds = 1 - 2 * stats.binom.cdf(np.arange(seeds // 2 + 1), seeds, 0.5)
    outer = max(1, int((holds >= LEVEL).sum()))
    if holds[outer - 1] < LEVEL:
        return outer, 0.0
    part = (holds[outer - 1] - LEVEL) / (holds[outer - 1] - holds[outer])
    return outer, float((seeds - outer) * part / (outer + (seeds - 2 * outer) * part))


def _between(outer: float, inner: float, share: float) -> float:
    return float(outer if np.isinf(outer) else outer + share * (inner - outer))
