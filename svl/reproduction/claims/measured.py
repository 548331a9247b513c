"""A number measured by an experiment of ``svl theory`` lies in the range that the paper claims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, judge
from svl.results.statistics import Estimate


@dataclass(frozen=True)
class Measured(Claim):
    """A number of the experiment is above a value, below a value, or between two.

    Args:
        says: the claim in words.
        at: the number's place in the experiment's results: keys and positions in lists, separated by dots.
        minus: the place of another number, which is subtracted; their errors are treated as independent.
        above: the claimed least value; with ``below``, reproduced if the whole interval lies between both.
        below: the claimed greatest value.
    """

    keyword: ClassVar[str] = "measured"
    of_theory: ClassVar[bool] = True

    says: str
    at: str
    minus: str | None = None
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise SettingError("above", None, "at least one of above and below")

    def names(self) -> list[str]:
        return []

    def test(self, outcome: Outcome) -> Tested:
        estimate = _number_at(outcome.numbers, self.at)
        if self.minus:
            other = _number_at(outcome.numbers, self.minus)
            value = estimate.value - other.value
            below = ((estimate.value - estimate.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
            above = ((estimate.high - estimate.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
            estimate = Estimate(value, value - below, value + above)
        above, below = -math.inf if self.above is None else self.above, math.inf if self.below is None else self.below
        effect = self.at + f" - {self.minus}" * bool(self.minus)
        verdict = judge(estimate, above, below)
        return Tested(self.says, effect, estimate, verdict, claimed=(above, below), by_seeds=False)


def _number_at(numbers: Any, place: str) -> Estimate:
    """The number at a place, with its interval."""
    for part in place.split("."):
        try:
            numbers = numbers[part if part in numbers else int(part)]
        except (KeyError, IndexError, ValueError, TypeError):
            known = ", ".join(map(str, numbers)) if isinstance(numbers, Mapping) else f"{len(numbers)} places"
            raise SettingError("at", place, f"{part!r} as one of {known}") from None
    if isinstance(numbers, int | float):
        # A number without an interval is a fact about all replicas, such as their largest ratio to a bound.
        return Estimate(float(numbers), float(numbers), float(numbers))
    value = numbers.get("value", numbers.get("exponent", numbers.get("ratio")))
    return Estimate(
        *(float("nan") if bound is None else float(bound) for bound in (value, numbers["low"], numbers["high"]))
    )
