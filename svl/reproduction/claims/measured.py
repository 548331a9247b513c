"""A number that an experiment of ``svl theory`` measures lies where the paper says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results.statistics import Estimate


@dataclass(frozen=True)
class Measured:
    """The number at a place in the experiment's file of numbers is above, below or between.

    Args:
        says: the claim in words.
        at: where the number is: keys and places of lists, with dots between them.
        minus: where another is, that is subtracted; their errors are taken as independent.
        above: the claimed least value; with ``below``, reproduced where the whole interval lies between.
        below: the claimed greatest value.
    """

    says: str
    at: str
    minus: str | None = None
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise SettingError("above", None, "above, below or both")

    def names(self) -> list[str]:
        return []

    def test(self, outcome: Outcome) -> Tested:
        estimate = _found(outcome.numbers, self.at)
        if self.minus:
            other = _found(outcome.numbers, self.minus)
            value = estimate.value - other.value
            below = ((estimate.value - estimate.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
            above = ((estimate.high - estimate.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
            estimate = Estimate(value, value - below, value + above)
        return Tested(self.says, self.at + f" - {self.minus}" * bool(self.minus), estimate, self._verdict(estimate))

    def _verdict(self, estimate: Estimate) -> Verdict:
        if self.below is None:
            return judge(estimate, self.above or 0.0)
        if self.above is None:
            return judge(Estimate(-estimate.value, -estimate.high, -estimate.low), -self.below)
        if self.above <= estimate.low and estimate.high <= self.below:
            return Verdict.REPRODUCED
        is_outside = estimate.high < self.above or estimate.low > self.below
        return Verdict.NOT_REPRODUCED if is_outside else Verdict.UNDECIDED


def _found(numbers: Any, place: str) -> Estimate:
    for part in place.split("."):
        try:
            numbers = numbers[part if part in numbers else int(part)]
        except (KeyError, IndexError, ValueError, TypeError):
            known = ", ".join(map(str, numbers)) if isinstance(numbers, Mapping) else f"{len(numbers)} places"
            raise SettingError("at", place, f"{part!r} to be one of {known}") from None
    value = numbers.get("value", numbers.get("exponent", numbers.get("ratio")))
    return Estimate(*(float("nan") if one is None else float(one) for one in (value, numbers["low"], numbers["high"])))
