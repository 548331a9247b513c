"""Two arms reach the target equally soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from svl.reproduction.claim import Claim
from svl.reproduction.outcome import REACHED, Outcome
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results.quantity import significant
from svl.results.statistics import Estimate, Unit

WITHIN = 1.25
"""The margin of every figure: times that differ by less than this factor count as equal."""


@dataclass(frozen=True)
class NoGap(Claim):
    """The ratio of the restricted mean times to target lies within a factor of 1.25 of 1: a test of equivalence.

    Reproduced if the whole interval lies in [1 / 1.25, 1.25], not reproduced if it lies outside, on either side. The
    margin is the same for all figures. The interval is widened by the uncertainty of times that fall between two
    measurements, and undecided where more than a fifth of the seeds of an arm do not reach the target.

    Args:
        unit: of the times, ``samples`` or ``step``.

    Source: Schuirmann 1987 (two one-sided tests).
    """

    keyword: ClassVar[str] = "no gap"

    arm: str
    than: str
    unit: Unit = "step"

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        gain = outcome.gain(self.arm, self.than, self.unit)
        every = max(np.diff(outcome.arms[name][self.unit].unique()).max() for name in self.names())
        end = min(outcome.arms[name][self.unit].max() for name in self.names())
        times = [outcome.times(name)[self.unit].clip(upper=end).mean() for name in self.names()]
        # A seed's time is known to a measurement; of the mean over seeds, half of that is systematic at most.
        wider = 1 + every / 2 / max(min(times), 1)
        value, low, high = gain.ratio
        estimate = Estimate(value, low / wider, high * wider)
        verdict = judge(estimate, 1 / WITHIN, WITHIN)
        is_known = max(gain.never.values()) <= (1 - REACHED) * gain.seeds
        if verdict is Verdict.REPRODUCED and not is_known:
            verdict = Verdict.UNDECIDED
        unit = "steps" if self.unit == "step" else "samples"
        return Tested(
            f"{self.arm} and {self.than} need equally many {unit}, to a factor of {significant(WITHIN)}",
            f"ratio of restricted mean {unit} to target",
            estimate,
            verdict,
            gain.censored(),
            (1 / WITHIN, WITHIN),
            is_ratio=True,
        )
