"""Along a row of arms the best is neither the first nor the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome, log_times, run_means
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class InteriorOptimum:
    """Some arm between the first and the last is better than both.

    Which one is chosen on the first half of the seeds; on the other half it is compared with both ends, seed by seed,
    and has to be better than each.

    Args:
        arms: in order.
        by: ``time`` to the target (its logarithm, that of the run's end where it is not reached), or the mean of the
            metric over the ``run``.
        unit: of the times, ``samples`` or ``step``.
    """

    arms: list[str]
    by: Literal["time", "run"] = "run"
    unit: Unit = "step"

    def __post_init__(self) -> None:
        if len(self.arms) < 3:
            raise SettingError("arms", self.arms, "a list of three or more")

    def names(self) -> list[str]:
        return self.arms

    def test(self, outcome: Outcome) -> Tested:
        scores = pd.DataFrame({name: self._scores(outcome, name) for name in self.arms})
        half = len(scores) // 2
        choosing, testing = scores.iloc[:half], scores.iloc[half:]
        best = choosing[self.arms[1:-1]].mean().idxmax() if half else self.arms[1]
        found = [statistics.mean((testing[best] - testing[end]).to_numpy()) for end in (self.arms[0], self.arms[-1])]
        worst = Estimate(*(min(one) for one in zip(*found, strict=True)))
        effect = (
            f"log-ratio of times to target, {best} against the better end"
            if self.by == "time"
            else f"difference in {outcome.metric} over the run, {best} against the better end"
        )
        says = f"the best of {', '.join(self.arms)} is in between"
        note = f"{best}, chosen on {half} seeds and tested on {len(testing)}"
        return Tested(says, effect, worst, judge(worst, 0.0), note)

    def _scores(self, outcome: Outcome, name: str) -> pd.Series:
        """Higher is better."""
        if self.by == "time":
            ends = [outcome.arms[one][self.unit].max() for one in self.arms]
            return -log_times(outcome.times(name), self.unit, float(np.min(ends)))
        sign = 1.0 if statistics.is_better_above(outcome.metric) else -1.0
        return sign * run_means(outcome.arms[name], outcome.metric).astype(np.float64)
