"""Bootstrap intervals over seeds, by which the claims of figures are defined (``svl.reproduction.claims``).

Resamples are drawn with a fixed key, so equal data gives equal intervals. They draw seeds, not values: two arms with
equal seeds are resampled together, so that their comparison is paired. Fewer than ``FEWEST`` seeds are too few for a
bootstrap: a ratio's bounds are then NaN. Tables, curves and reports of runs use ``svl.results.statistics`` and
``svl.results.comparison`` instead.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from svl.results.statistics import HIGH, LEVEL, LOW, Estimate, Unit, median_times, student

RESAMPLES = 2000
FEWEST = 6
"""The fewest seeds that agree on the sign of a difference with a p-value below 5 %: 2 / 2^6."""


class RatioOfMedians(NamedTuple):
    """Median time of a reference over that of an arm, with a 95 % interval.

    ``bound`` is ``=`` if both medians are known, ``>=`` if the reference never reached the target (``value`` is then
    the ratio for its last measurement), ``<=`` if the arm never did, ``?`` if neither did (``value`` is then NaN).
    """

    value: float
    low: float
    high: float
    bound: str


def mean(values: Float[ndarray, "seed"], level: float = LEVEL) -> Estimate:
    """The mean over the finite seeds with the wider of the BCa bootstrap's interval and Student's.

    Where BCa is undefined it is the percentile bootstrap. Few seeds without any spread have no interval.

    Args:
        level: the probability with which the interval is meant to hold the mean.

    Source: Efron and Tibshirani 1993, chapter 14.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if values.size < 2 or (values.size < FEWEST and np.ptp(values) == 0):
        return Estimate(float(values.mean()) if values.size else np.nan, np.nan, np.nan)
    value, half = float(values.mean()), float(np.nan_to_num(student(values)[1]))
    if level != LEVEL:
        half *= float(stats.t.ppf((1 + level) / 2, values.size - 1) / stats.t.ppf(HIGH, values.size - 1))
    low = high = np.nan
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            generator = np.random.default_rng(0)
            result = stats.bootstrap(
                (values,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method=method, rng=generator
            )
        low, high = map(float, result.confidence_interval)
        if np.isfinite([low, high]).all():
            break
    return Estimate(value, min(low, value - half), max(high, value + half))


@cache
def resamples(seeds: int) -> Float[ndarray, "resample seed"]:
    """How often each seed is drawn in each bootstrap resample: the same for every arm with as many seeds."""
    drawn = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def ratio_of_medians(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit = "samples") -> RatioOfMedians:
    """Median time of the reference over that of the arm, with a percentile bootstrap interval paired by seed.

    If the median of a resample is not reached, it is only known to exceed the longest time in it; the bounds are the
    worst values that this allows. An infinite upper bound means that the reference may never reach the target.

    Args:
        arm, reference: as from ``statistics.time_to_target``; seeds that only one of them has are ignored.

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
    return RatioOfMedians(float(value), *_interval(least[1:], most[1:], len(seeds)), bound)


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
    if seeds < FEWEST:
        return np.nan, np.nan
    return float(np.quantile(least, LOW, method="lower")), float(np.quantile(most, HIGH, method="higher"))
