"""Two arms reach the target equally soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, Verdict
from svl.results import bootstrap, statistics
from svl.results.quantity import significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class NoGap(Claim):
    """The ratio of the median times to target lies within a margin of 1: a test of equivalence.

    Reproduced if the whole interval lies in [1 / within, within], not reproduced if it lies outside. The interval is
    widened by the uncertainty of times that fall between two measurements.

    Args:
        within: the margin, a factor above 1; ratios within it count as equal.
        or_behind: whether ``arm`` may also be slower, for the claim that it is no longer faster.
        unit: of the times, ``samples`` or ``step``.
    """

    keyword: ClassVar[str] = "no gap"

    arm: str
    than: str
    within: float = 1.25
    unit: Unit = "step"
    or_behind: bool = False

    def __post_init__(self) -> None:
        if self.within <= 1:
            raise SettingError("within", self.within, "a factor above 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        arm, than = (outcome.times(name) for name in self.names())
        gain = bootstrap.ratio_of_medians(arm, than, self.unit)
        soonest = min(statistics.median_time(times, self.unit).value for times in (arm, than))
        every = np.diff(outcome.arms[self.arm][self.unit].unique()).max() / max(soonest, 1)
        estimate = Estimate(gain.value, gain.low / (1 + every), gain.high * (1 + every))
        least = 0.0 if self.or_behind else 1 / self.within
        if least <= estimate.low and estimate.high <= self.within:
            verdict = Verdict.REPRODUCED
        elif estimate.low > self.within or estimate.high < least:
            verdict = Verdict.NOT_REPRODUCED
        else:
            verdict = Verdict.UNDECIDED
        unit = "steps" if self.unit == "step" else "samples"
        margin = f"a factor of {significant(self.within)}"
        says = f"{self.arm} and {self.than} need equally many {unit}, to {margin}"
        if self.or_behind:
            says = f"{self.arm} needs no fewer {unit} than {self.than}, to {margin}"
        return Tested(says, f"ratio of median {unit} to target", estimate, verdict)
