"""Estimates over seeds: means, probabilities of success, times to a target, speed-ups.

Every interval is a 95 % interval. Resamples are drawn with a fixed key, so equal data gives equal intervals. They draw
seeds, not values: two arms with equal seeds are resampled together, so that their comparison is paired. A time to
target is right-censored if the target was never passed: it is only known to exceed the last finite measurement.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import stats

RESAMPLES = 2000
LOW, HIGH = 0.025, 0.975

Unit = Literal["step", "samples"]


class Estimate(NamedTuple):
    """A value with its 95 % interval; the bounds are NaN for a single seed."""

    value: float
    low: float
    high: float


class SpeedUp(NamedTuple):
    """How many times sooner than its reference an arm reaches the target.

    ``bound`` is ``=`` if both medians are known, ``>=`` if the reference never reached the target (``value`` is then
    the ratio for its last measurement), ``<=`` if the arm never did, ``?`` if neither did (``value`` is then NaN).
    """

    value: float
    low: float
    high: float
    bound: str


def is_better_above(metric: str) -> bool:
    """Whether a metric passes its target from below, as accuracies do, or from above, as losses and perplexities do."""
    return not metric.endswith(("loss", "perplexity"))


def passes(values: Float[ndarray, "..."], metric: str, value: float) -> Bool[ndarray, "..."]:
    """Which of a metric's values pass its target ``value``."""
    return np.asarray(values >= value if is_better_above(metric) else values <= value)


def mean(values: Float[ndarray, "seed"]) -> Estimate:
    """Mean over the finite seeds with a BCa bootstrap interval (percentile where BCa is undefined).

    Source: Efron and Tibshirani 1993, chapter 14.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if values.size < 2:
        return Estimate(float(values[0]) if values.size else np.nan, np.nan, np.nan)
    low = high = np.nan
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            generator = np.random.default_rng(0)
            result = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, method=method, rng=generator)
        low, high = result.confidence_interval
        if np.isfinite([low, high]).all():
            break
    return Estimate(float(values.mean()), float(low), float(high))


def success(reached: Bool[ndarray, "seed"]) -> Estimate:
    """Probability that a seed passes the target, with Wilson's interval; a seed that diverged earlier did not pass."""
    test = stats.binomtest(int(np.sum(reached)), len(reached))
    return Estimate(float(test.statistic), *map(float, test.proportion_ci(method="wilson")))


@cache
def resamples(seeds: int) -> Float[ndarray, "resample seed"]:
    """How often each seed is drawn in each bootstrap resample: the same for every arm with as many seeds."""
    drawn = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def band(values: Float[ndarray, "seed point"]) -> tuple[Float[ndarray, "point"], Float[ndarray, "point"]]:
    """Percentile bootstrap interval of the mean over seeds at every point; NaN is ignored, a single seed gives NaN."""
    finite = np.isfinite(values)
    weights = resamples(len(values))
    with np.errstate(invalid="ignore"):
        means = (weights @ np.where(finite, values, 0)) / (weights @ finite.astype(np.float64))
    bounds, known = np.full((2, values.shape[1]), np.nan), finite.sum(0) > 1
    if known.any():
        # A resample may consist of diverged seeds only.
        bounds[:, known] = np.nanquantile(means[:, known], (LOW, HIGH), axis=0)
    return bounds[0], bounds[1]


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
    return mean(difference.to_numpy(np.float64))


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
        weights: how often each seed counts: ones for the sample itself, ``resamples`` for its bootstrap.
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
    """The Kaplan-Meier median time to target with a bootstrap interval; infinite if half of the seeds do not reach it.

    Args:
        times: as from ``time_to_target``.
    """
    medians = _medians(times, unit)
    return Estimate(float(medians[0]), *_interval(medians[1:], medians[1:], len(times)))


def speed_up(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit = "samples") -> SpeedUp:
    """Median time of the reference over that of the arm, with a bootstrap interval paired by seed.

    If the median of a resample is not reached, it is only known to exceed the longest time in it; the bounds are the
    worst values that this allows. An infinite upper bound means that the reference may never reach the target.

    Args:
        arm, reference: as from ``time_to_target``; seeds that only one of them has are ignored.

    Raises:
        ValueError: if they have no seed in common.
    """
    seeds = arm.index.intersection(reference.index)
    if seeds.empty:
        raise ValueError("a speed-up is paired by seed, but these arms have no seed in common")
    arm, reference = arm.loc[seeds], reference.loc[seeds]
    fast, slow = _medians(arm, unit), _medians(reference, unit)
    with np.errstate(invalid="ignore", divide="ignore"):
        least = _at_least(slow, reference, unit) / fast
        most = slow / _at_least(fast, arm, unit)
    value, bound = {
        (True, True): (most[0], "="),
        (True, False): (least[0], ">="),
        (False, True): (most[0], "<="),
        (False, False): (np.nan, "?"),
    }[bool(np.isfinite(fast[0])), bool(np.isfinite(slow[0]))]
    return SpeedUp(float(value), *_interval(least[1:], most[1:], len(seeds)), bound)


def logrank_p(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit = "samples") -> float:
    """P-value of the log-rank test that two arms reach the target equally soon; NaN if no seed does.

    Args:
        arm, reference: as from ``time_to_target``; the test does not use the pairing.
    """
    if not (arm["reached"].any() or reference["reached"].any()):
        return float("nan")
    samples = [
        stats.CensoredData(t.loc[t["reached"], unit], right=t.loc[~t["reached"], unit]) for t in (arm, reference)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(stats.logrank(*samples).pvalue)


def _medians(times: pd.DataFrame, unit: Unit) -> Float[ndarray, "resample"]:
    """The median of the sample, followed by the medians of its resamples."""
    return median_times(times[unit].to_numpy(np.float64), times["reached"].to_numpy(bool), _weights(len(times)))


def _at_least(medians: Float[ndarray, "resample"], times: pd.DataFrame, unit: Unit) -> Float[ndarray, "resample"]:
    """The medians, or the longest observed time where a median is not reached."""
    longest = np.where(_weights(len(times)) > 0, times[unit].to_numpy(np.float64), 0).max(1)
    return np.where(np.isinf(medians), longest, medians)


@cache
def _weights(seeds: int) -> Float[ndarray, "resample seed"]:
    return np.vstack([np.ones((1, seeds)), resamples(seeds)])


def _interval(least: Float[ndarray, "resample"], most: Float[ndarray, "resample"], seeds: int) -> tuple[float, float]:
    """Percentiles without interpolation, which infinite values would turn into NaN."""
    if seeds < 2:
        return np.nan, np.nan
    return float(np.quantile(least, LOW, method="lower")), float(np.quantile(most, HIGH, method="higher"))
