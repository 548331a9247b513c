"""The result of a claim: an effect with its interval, and one of three verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from svl.results.statistics import Estimate


class Verdict(StrEnum):
    """The verdict on a claim or a figure."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"


class Tested(NamedTuple):
    """A claim that has been tested.

    Attributes:
        says: the claim in words.
        effect: name of the estimated quantity.
        estimate: of the effect, with its interval.
        verdict: on this claim.
        note: further information: a second statistic, the number of censored seeds.
        claimed: the least and the greatest value that agree with the claim.
        is_ratio: whether the effect is a ratio, whose error is that of its logarithm.
        by_seeds: whether more reported seeds would make the interval narrower.
    """

    says: str
    effect: str
    estimate: Estimate
    verdict: Verdict
    note: str = ""
    claimed: tuple[float, float] = (-math.inf, math.inf)
    is_ratio: bool = False
    by_seeds: bool = True


def judge(estimate: Estimate, above: float = -math.inf, below: float = math.inf) -> Verdict:
    """Reproduced if the whole interval lies between two values, not reproduced if it lies outside, else undecided."""
    is_above = estimate.low > above if above > -math.inf else not math.isnan(estimate.low)
    is_below = estimate.high < below if below < math.inf else not math.isnan(estimate.high)
    if is_above and is_below:
        return Verdict.REPRODUCED
    is_outside = estimate.high < above or estimate.low > below
    return Verdict.NOT_REPRODUCED if is_outside else Verdict.UNDECIDED


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a figure: reproduced if every claim is, not reproduced if one claim is not, else undecided.

    To reproduce all of several claims by chance is at most as likely as to reproduce one of them, so the 95 % intervals
    need no correction (an intersection-union test: Berger 1982). Of m comparisons at their boundary, one is
    contradicted by chance with a probability of at most 2.5 % m.
    """
    each = list(verdicts)
    if each and all(verdict is Verdict.REPRODUCED for verdict in each):
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if Verdict.NOT_REPRODUCED in each else Verdict.UNDECIDED
