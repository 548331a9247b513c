"""The result of a claim: an effect with its interval, and one of three verdicts."""

from __future__ import annotations

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
        estimate: of the effect, with its 95 % interval.
        verdict: on this claim.
        note: further information: a p-value, the number of censored seeds.
    """

    says: str
    effect: str
    estimate: Estimate
    verdict: Verdict
    note: str = ""


def judge(estimate: Estimate, above: float) -> Verdict:
    """Reproduced if the whole interval lies above a value, not reproduced if it lies below, else undecided."""
    if estimate.low > above:
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if estimate.high < above else Verdict.UNDECIDED


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
