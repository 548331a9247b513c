"""Whether an arm reaches the target sooner than its reference: the speed-up, its interval, its p-value and the verdict.

The tests are permutation tests with exact p-values: of equal arms at most 5 % are called different, at every number of
seeds, for every distribution of times, with ties and with seeds that never reach the target. Where there are enough
seeds, the test is Wilcoxon's signed-rank test of the log-ratios of times, paired by seed. A test of n pairs has no
p-value below 2 / 2^n, too large for few seeds and many comparisons. The test is then the rank-sum test of Wilcoxon,
Mann and Whitney, for independent arms. Where equal seeds make arms alike, it calls equal arms different less often.

The interval holds the ratios that the test does not reject at 5 %: the arm's times are multiplied by the ratio and
compared with those of the reference, both up to the time until which both are known.

Sources: Wilcoxon 1945; Mann and Whitney 1947; Holm 1979; Lehmann 1975, *Nonparametrics*, chapters 1 to 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import stats

from svl.results.statistics import LEVEL, LOW, Unit, median_time

FEWEST = 4
"""Of fewer seeds no permutation test has a p-value of 5 % or less."""
SPARE = 4
"""Seeds are compared in pairs if the smallest p-value is this many times smaller than what a verdict asks."""
MOST_EXACT = 64
"""Above as many pairs that differ, the signed-rank statistic is compared with a normal distribution."""
STEPS = 40
"""Bisections for a bound of an interval; the interval of the logarithm is halved as often."""

FASTER, SLOWER, UNDECIDED, TOO_FEW = "faster", "slower", "undecided", "too few seeds"

Tails = tuple[float, float]
"""The probabilities of a statistic at least, and at most, as large as the observed one."""


class SpeedUp(NamedTuple):
    """How many times sooner than its reference an arm reaches the target.

    ``value`` is the ratio of the Kaplan-Meier medians. ``bound`` is ``=`` if both medians are known, ``>=`` if the
    reference never reached the target (``value`` is then the ratio for its last measurement), ``<=`` if the arm never
    did, ``?`` if neither did (``value`` is then NaN). ``low``, ``high`` and ``p`` are NaN for fewer than four seeds.
    """

    value: float
    low: float
    high: float
    bound: str
    p: float
    seeds: int


class Times(NamedTuple):
    """Logarithms of times to the target.

    Attributes:
        log: infinite for seeds that never reach the target.
        end: until when that is known.
    """

    log: Float[ndarray, "seed"]
    end: float

    @classmethod
    def of(cls, times: pd.DataFrame, unit: Unit) -> Times:
        """Those of a table, as from ``statistics.time_to_target``."""
        log = np.log(np.maximum(times[unit].to_numpy(np.float64), 1))
        reached = times["reached"].to_numpy(bool)
        return cls(np.where(reached, log, np.inf), np.inf if reached.all() else float(log.max()))


def speed_up(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit = "samples", comparisons: int = 1) -> SpeedUp:
    """Median time of the reference over that of the arm, with the 95 % interval and the p-value of an exact test.

    An infinite upper bound means that too few seeds of the reference reached the target to bound the ratio, a lower
    bound of 0 the same of the arm. The interval is widened to hold
    ``value`` where the test's own estimate of the ratio is another.

    Args:
        arm, reference: as from ``statistics.time_to_target``; seeds that only one of them has are ignored.
        comparisons: the number of arms that are compared in the same report; the choice of the test depends on it, the
            interval and the p-value are not corrected for it.

    Raises:
        ValueError: if they have no seed in common.
    """
    seeds = arm.index.intersection(reference.index)
    if seeds.empty:
        raise ValueError("a speed-up is paired by seed, but these arms have no seed in common")
    arm, reference = arm.loc[seeds], reference.loc[seeds]
    value, bound = _ratio(arm, reference, unit)
    if len(seeds) < FEWEST:
        return SpeedUp(value, np.nan, np.nan, bound, np.nan, len(seeds))
    both, paired = (Times.of(arm, unit), Times.of(reference, unit)), is_paired(len(seeds), comparisons)
    low, high = _bounds(tails(*both, paired), _widest(arm, reference, unit))
    if np.isfinite(value):
        low, high = min(low, value), max(high, value)
    return SpeedUp(value, low, high, bound, p_value(*both, paired), len(seeds))


def p_value(arm: Times, reference: Times, paired: bool, log_ratio: float = 0.0) -> float:
    """The p-value of the two-sided test that the reference's times are those of the arm times a ratio, by default 1.

    Args:
        log_ratio: logarithm of the ratio.
    """
    return min(1.0, 2 * min(tails(arm, reference, paired)(log_ratio)))


def is_paired(seeds: int, comparisons: int) -> bool:
    """Whether seeds are compared in pairs: whether there are enough for the number of comparisons."""
    return SPARE * comparisons * 2.0 ** (1 - seeds) <= 1 - LEVEL


def can_decide(seeds: int, comparisons: int) -> bool:
    """Whether the smallest p-value that the test has is small enough for a verdict among so many comparisons."""
    return is_paired(seeds, comparisons) or comparisons * 2 / math.comb(2 * seeds, seeds) <= 1 - LEVEL


def verdict(gain: Mapping[str, Any], corrected: float, comparisons: int) -> str:
    """``faster`` or ``slower`` where both the test and the interval say so, else ``undecided`` or ``too few seeds``.

    Args:
        gain: a :class:`SpeedUp` by name.
        corrected: its p-value, corrected for the number of comparisons (:func:`holm`).
    """
    if not can_decide(gain["seeds"], comparisons):
        return TOO_FEW
    if corrected > 1 - LEVEL or gain["low"] <= 1 <= gain["high"]:
        return UNDECIDED
    return FASTER if gain["low"] > 1 else SLOWER


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's method; NaN stays NaN and does not count.

    The probability that one or more of the true null hypotheses gets a corrected p-value of 5 % or less is at most 5 %.
    """
    p = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected.tolist()


def rank_sum_tails(first: Float[ndarray, "seed"], second: Float[ndarray, "seed"]) -> Tails:
    """Tails of the rank sum of ``second`` among all ways to divide the values into two such groups; exact with ties."""
    ranks = _doubled_ranks(np.concatenate([first, second]))
    counts = _rank_sums(tuple(sorted(ranks.tolist())), len(second))
    return _tails_of(counts, int(ranks[len(first) :].sum()))


def signed_rank_tails(differences: Float[ndarray, "seed"]) -> Tails:
    """Tails of the rank sum of the positive differences over all choices of signs; zeros count for neither side."""
    differences = differences[differences != 0]
    if not differences.size:
        return 1.0, 1.0
    ranks = _doubled_ranks(np.abs(differences))
    observed = int(ranks[differences > 0].sum())
    if ranks.size > MOST_EXACT:
        mean, deviation = ranks.sum() / 2, np.sqrt(np.square(ranks, dtype=np.float64).sum() / 4)
        # Doubled ranks of values without ties are even numbers: half the distance to the next one is 1.
        above, below = (observed - 1 - mean) / deviation, (observed + 1 - mean) / deviation
        return float(stats.norm.sf(above)), float(stats.norm.cdf(below))
    return _tails_of(_signed_rank_sums(tuple(sorted(ranks.tolist()))), observed)


def tails(arm: Times, reference: Times, paired: bool) -> Callable[[float], Tails]:
    """The tails of the test that the reference's times are those of the arm times a ratio, by its logarithm.

    The first is small where the reference is later than that, the second where it is sooner.
    """

    def at(log_ratio: float) -> Tails:
        end = min(arm.end + log_ratio, reference.end)
        fast, slow = np.minimum(arm.log + log_ratio, end), np.minimum(reference.log, end)
        # Values that are equal except for rounding are ties.
        fast, slow = np.round(fast, 9), np.round(slow, 9)
        return signed_rank_tails(np.round(slow - fast, 9)) if paired else rank_sum_tails(fast, slow)

    return at


def _bounds(at: Callable[[float], Tails], widest: float) -> tuple[float, float]:
    """The ratios at which the tails become larger than 2.5 %; 0 and infinite where they always are."""

    def bound(side: int) -> float:
        inside, outside = (widest, -widest) if side == 0 else (-widest, widest)
        if at(outside)[side] > LOW:
            return outside * np.inf
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if at(middle)[side] > LOW else (inside, middle)
        return inside

    low, high = np.exp([bound(0), bound(1)]).tolist()
    return low, high


def _widest(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit) -> float:
    """A log-ratio beyond all those of two seeds."""
    log = np.log(np.maximum(np.concatenate([arm[unit], reference[unit]]).astype(np.float64), 1))
    return float(np.ptp(log)) + 1


def _ratio(arm: pd.DataFrame, reference: pd.DataFrame, unit: Unit) -> tuple[float, str]:
    """The ratio of medians, or the bound on it that the last measurements give, and which of both it is."""
    fast, slow = (np.float64(median_time(times, unit).value) for times in (arm, reference))
    bound = {(True, True): "=", (True, False): ">=", (False, True): "<=", (False, False): "?"}[
        bool(np.isfinite(fast)), bool(np.isfinite(slow))
    ]
    if bound == "?":
        return np.nan, bound
    fast, slow = (
        median if np.isfinite(median) else times[unit].to_numpy(np.float64).max()
        for median, times in ((fast, arm), (slow, reference))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(slow / fast), bound


def _doubled_ranks(values: Float[ndarray, "value"]) -> Int[ndarray, "value"]:
    """Twice the ranks, which are whole numbers also for ties; SciPy's function takes many times as long."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1


def _tails_of(counts: Float[ndarray, "total"], observed: int) -> Tails:
    return float(counts[observed:].sum()), float(counts[: observed + 1].sum())


@lru_cache(maxsize=4096)
def _rank_sums(ranks: tuple[int, ...], chosen: int) -> Float[ndarray, "total"]:
    """The probability of each sum of ``chosen`` of the ranks."""
    counts = np.zeros((chosen + 1, sum(ranks) + 1))
    counts[0, 0] = 1
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, :-rank].copy()
    return counts[chosen] / counts[chosen].sum()


@lru_cache(maxsize=4096)
def _signed_rank_sums(ranks: tuple[int, ...]) -> Float[ndarray, "total"]:
    """The probability of each sum of a random subset of the ranks."""
    shares = np.zeros(sum(ranks) + 1)
    shares[0] = 1
    for rank in ranks:
        shares[rank:] += shares[:-rank].copy()
        shares /= 2
    return shares
