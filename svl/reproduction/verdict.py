"""What a claim comes to: an effect with its interval, and one of three verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from svl.results.statistics import Estimate


class Verdict(StrEnum):
    """Of a claim or a figure."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"


class Tested(NamedTuple):
    """A claim and what the data say.

    Attributes:
        says: the claim in words.
        effect: what is estimated.
        estimate: with its 95 % interval.
        verdict: of this claim.
        note: what else belongs to it: a p-value, how many were censored.
    """

    says: str
    effect: str
    estimate: Estimate
    verdict: Verdict
    note: str = ""


def judge(estimate: Estimate, above: float) -> Verdict:
    """Reproduced where the whole interval lies above a value, not reproduced where it lies below."""
    if estimate.low > above:
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if estimate.high < above else Verdict.UNDECIDED


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """That of a figure: reproduced where every claim is, not reproduced where one is not.

    To find all of several claims by chance is no likelier than to find one, so that 95 % intervals need no correction
    there (an intersection-union test: Berger 1982). Of m comparisons at their boundary, one is contradicted by chance
    with a probability of at most 2.5 % m.
    """
    found = list(verdicts)
    if found and all(one is Verdict.REPRODUCED for one in found):
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if Verdict.NOT_REPRODUCED in found else Verdict.UNDECIDED
