"""Two arms reach the target equally soon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, Verdict
from svl.results import statistics
from svl.results.quantity import significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class NoGap:
    """The ratio of the median times to target lies within a margin of 1: a test of equivalence.

    Reproduced where the whole interval lies in [1 / within, within], not reproduced where it lies outside. It is
    widened by what times between two measurements leave open.

    Args:
        within: the margin, above 1; what is called equal.
        unit: of the times, ``samples`` or ``step``.
    """

    arm: str
    than: str
    within: float = 1.25
    unit: Unit = "step"

    def __post_init__(self) -> None:
        if self.within <= 1:
            raise SettingError("within", self.within, "a factor above 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        arm, than = (outcome.times(name) for name in self.names())
        gain = statistics.speed_up(arm, than, self.unit)
        soonest = min(statistics.median_time(times, self.unit).value for times in (arm, than))
        every = np.diff(outcome.arms[self.arm][self.unit].unique()).max() / max(soonest, 1)
        estimate = Estimate(gain.value, gain.low / (1 + every), gain.high * (1 + every))
        if 1 / self.within <= estimate.low and estimate.high <= self.within:
            verdict = Verdict.REPRODUCED
        elif estimate.low > self.within or estimate.high < 1 / self.within:
            verdict = Verdict.NOT_REPRODUCED
        else:
            verdict = Verdict.UNDECIDED
        unit = "steps" if self.unit == "step" else "samples"
        says = f"{self.arm} and {self.than} need equally many {unit}, to a factor of {significant(self.within)}"
        return Tested(says, f"ratio of median {unit} to target", estimate, verdict)
