"""How many seeds an arm would need to be called faster or slower than its reference: power by simulation.

An experiment of n seeds is simulated by drawing n seeds of the run with replacement, the arm's and the reference's time
of a seed together, and it is judged by the tests of :mod:`svl.results.comparison`. That takes the run's spread, its
correlation between arms and its seeds that never reach the target as they are. For an effect other than the observed
one, the arm's times are multiplied by one ratio.

Source: Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 25.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from svl.results.comparison import FEWEST, Times, can_decide, is_paired, tails
from svl.results.statistics import LEVEL, Unit, median_time

CHANCE = 0.8
"""The usual probability with which an effect should be found."""
MOST = 1024
"""More seeds are not looked at."""
DRAWS = 400
"""Simulated experiments; the probability of 80 % has a Monte Carlo error (one standard deviation) of 2 %."""


def chance(
    arm: Times, reference: Times, seeds: int, comparisons: int = 1, log_ratio: float = 0.0, draws: int = DRAWS
) -> float:
    """The probability that an experiment calls the arm different from its reference, in the direction of the effect.

    Args:
        arm, reference: the times of a run, of the same seeds in the same order.
        seeds: number of seeds of the simulated experiments.
        comparisons: number of compared arms. The p-value has to be at most 5 % divided by it, which is the strictest
            step of Holm's correction.
        log_ratio: what is added to the logarithms of the arm's times.
        draws: number of simulated experiments.
    """
    if not can_decide(seeds, comparisons):
        return 0.0
    moved, paired = _moved(arm, log_ratio), is_paired(seeds, comparisons)
    side = int(np.argmin(tails(moved, reference, paired=True)(0.0)))
    generator = np.random.default_rng(0)  # the same experiments for every question
    found = 0
    for chosen in generator.integers(len(arm.log), size=(draws, seeds)):
        one, other = (Times(times.log[chosen], times.end) for times in (moved, reference))
        found += 2 * comparisons * tails(one, other, paired)(0.0)[side] <= 1 - LEVEL
    return found / draws


def seeds_needed(
    arm: Times,
    reference: Times,
    comparisons: int = 1,
    log_ratio: float = 0.0,
    wanted: float = CHANCE,
    draws: int = DRAWS,
) -> int | None:
    """The smallest number of seeds with which :func:`chance` is at least ``wanted``; ``None`` if 1,024 do not suffice.

    Args:
        arm, reference, comparisons, log_ratio, draws: as for :func:`chance`.
        wanted: the probability.
    """

    def suffice(seeds: int) -> bool:
        return chance(arm, reference, seeds, comparisons, log_ratio, draws) >= wanted

    too_few, enough = FEWEST - 1, FEWEST
    while not suffice(enough):
        if enough >= MOST:
            return None
        too_few, enough = enough, min(2 * enough, MOST)
    while enough - too_few > max(1, enough // 20):
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if suffice(middle) else (middle, enough)
    return enough


def to_gain(arm: pd.DataFrame, reference: pd.DataFrame, gain: float, unit: Unit = "samples") -> float:
    """The logarithm of the ratio that gives the arm a speed-up of ``gain``, measured by medians.

    Args:
        arm, reference: as from ``statistics.time_to_target``.
        gain: the median time of the reference over that of the arm.

    Returns:
        NaN if one of the medians is not known.
    """
    fast, slow = (np.float64(median_time(times, unit).value) for times in (arm, reference))
    if not (np.isfinite(fast) and np.isfinite(slow) and fast > 0 and slow > 0):
        return math.nan
    return float(np.log(slow / gain) - np.log(fast))


def _moved(arm: Times, log_ratio: float) -> Times:
    """Times multiplied by a ratio; what would lie after the end of the run is never seen."""
    end, log = min(arm.end, arm.end + log_ratio), arm.log + log_ratio
    return Times(np.where(log > end, np.inf, log), end)
