"""In an ordered list of arms, the best is neither the first nor the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome, log_times
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.quantity import significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class InteriorOptimum(Claim):
    """Some arm between the first and the last is better than both.

    The arm is chosen on the first half of the seeds. On the other half it is compared with both ends, seed by seed, and
    has to be better than each.

    Args:
        arms: in order.
        by: ``time`` to the target (its logarithm; where the target is not reached, that of the end of the run), or the
            mean of the metric over the ``run``.
        unit: of the times, ``samples`` or ``step``.
        least: the effect has to be larger than this, a difference of logarithms or of the metric.
    """

    keyword: ClassVar[str] = "interior optimum"

    arms: list[str]
    by: Literal["time", "run"] = "run"
    unit: Unit = "step"
    least: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.arms)) < max(3, len(self.arms)):
            raise SettingError("arms", self.arms, "a list of three or more different arms")

    def names(self) -> list[str]:
        return self.arms

    def test(self, outcome: Outcome) -> Tested:
        scores = self._scores(outcome)
        half = len(scores) // 2
        choosing, testing = scores.iloc[:half], scores.iloc[half:]
        best = choosing[self.arms[1:-1]].mean().idxmax() if half else self.arms[1]
        differences = [outcome.mean((testing[best] - testing[end]).to_numpy()) for end in (self.arms[0], self.arms[-1])]
        worst = Estimate(*np.min(differences, axis=0).tolist())
        effect = (
            f"log-ratio of times to target, {best} against the better end"
            if self.by == "time"
            else f"difference in {outcome.metric} over the run, {best} against the better end"
        )
        more = f", by more than {significant(self.least)}" if self.least else ""
        says = f"the best of {', '.join(self.arms)} is in between{more}"
        note = f"{best}, chosen on {half} seeds and tested on {len(testing)}"
        return Tested(says, effect, worst, judge(worst, self.least), note, (self.least, np.inf))

    def _scores(self, outcome: Outcome) -> pd.DataFrame:
        """The score of each seed and arm; higher is better."""
        if self.by == "run":
            return outcome.scores(self.arms, outcome.metric, statistics.is_better_above(outcome.metric))
        end = float(min(outcome.arms[name][self.unit].max() for name in self.arms))
        return pd.DataFrame({name: -log_times(outcome.times(name), self.unit, end) for name in self.arms})
