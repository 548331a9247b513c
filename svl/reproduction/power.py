"""How many seeds would decide a claim that is undecided."""

from __future__ import annotations

import math

from scipy import stats

from svl.reproduction.verdict import Tested, Verdict
from svl.results.statistics import HIGH

CHANCE = 0.8
"""The probability with which the estimated number of seeds decides the claim, if the effect is as estimated."""


def seeds_to_decide(tested: Tested, seeds: int) -> int | None:
    """The number of seeds with which a claim of this effect and spread is decided with a probability of 80 %.

    The half-width of an interval falls as the square root of the number of seeds, and the effect has to be away from
    the nearer end of the claimed values by z(97.5 %) + z(80 %) standard errors instead of z(97.5 %). Ratios are
    treated on the logarithmic scale. It is an estimate from an estimate: near an end of the claimed values it is large
    and unreliable.

    Args:
        tested: the claim.
        seeds: the number of seeds of ``tested``.

    Returns:
        ``None`` where more seeds cannot be said to help: for a claim that is decided, without an interval, or that is
        undecided for another reason than the width of its interval.
    """
    if tested.verdict is not Verdict.UNDECIDED or not tested.by_seeds:
        return None
    value, low, high = tested.estimate
    ends = list(tested.claimed)
    if tested.is_ratio:
        value, low, high, *ends = (_log(number) for number in (value, low, high, *ends))
    if not all(map(math.isfinite, (value, low, high))):
        return None
    # The side of the interval that holds an end of the claimed values decides.
    needed = [
        seeds * (((high - value) if end > value else (value - low)) / (end - value)) ** 2
        for end in ends
        if math.isfinite(end) and end != value and low <= end <= high
    ]
    if not needed:
        return None
    z = float(stats.norm.ppf(HIGH))
    return max(seeds + 1, math.ceil(max(needed) * ((z + float(stats.norm.ppf(CHANCE))) / z) ** 2))


def _log(number: float) -> float:
    return math.log(number) if 0 < number < math.inf else math.copysign(math.inf, number - 1)
