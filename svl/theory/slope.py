"""Exponents of power laws: slopes of logarithms with bootstrap intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from svl.results.bootstrap import RESAMPLES
from svl.results.statistics import HIGH, LOW, Estimate


class Slope(NamedTuple):
    """An exponent with its 95 % interval, and the number of decades that x spans."""

    exponent: Estimate
    decades: float


def fit(x: Sequence[float] | ndarray, values: Sequence[ndarray]) -> Slope:
    """The slope of log y on log x by least squares, where y is the geometric mean over the seeds of each point.

    The interval is that of the percentile bootstrap over seeds, drawn independently at each point. It does not contain
    the error due to a curve that is not exactly a power law.

    Args:
        x: values of x, at least two.
        values: for each x the values of the seeds, above 0.
    """
    log_x = np.log(np.asarray(x, float))
    centred = log_x - log_x.mean()
    weights = centred / np.square(centred).sum()
    logs = [np.log(np.asarray(seeds, float)) for seeds in values]
    means = np.array([log.mean() for log in logs])
    generator = np.random.default_rng(0)
    resampled = np.stack([generator.choice(log, (RESAMPLES, len(log))).mean(1) for log in logs], axis=1)
    value = float(weights @ means)
    low, high = np.quantile(resampled @ weights, (LOW, HIGH))
    return Slope(Estimate(value, float(low), float(high)), float(np.ptp(log_x) / np.log(10)))


def ratio_of_means(times: Float[ndarray, "replica"], others: Float[ndarray, "other"]) -> Estimate:
    """The ratio of the geometric means of two independent samples, with a percentile bootstrap interval."""
    generator = np.random.default_rng(0)
    logs = [generator.choice(np.log(sample), (RESAMPLES, len(sample))).mean(1) for sample in (times, others)]
    low, high = np.exp(np.quantile(logs[0] - logs[1], (LOW, HIGH)))
    return Estimate(geometric_mean(times).value / geometric_mean(others).value, float(low), float(high))


def geometric_mean(values: Float[ndarray, "seed"]) -> Estimate:
    """The geometric mean over seeds with a percentile bootstrap interval."""
    logs = np.log(values)
    resampled = np.random.default_rng(0).choice(logs, (RESAMPLES, len(logs))).mean(1)
    low, high = np.quantile(resampled, (LOW, HIGH))
    return Estimate(*(float(np.exp(log)) for log in (logs.mean(), low, high)))
