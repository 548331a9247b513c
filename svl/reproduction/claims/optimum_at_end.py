"""At the end of the run, the best of an ordered list of arms is neither the first nor the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.quantity import significant
from svl.results.statistics import Estimate


@dataclass(frozen=True)
class OptimumAtEnd(Claim):
    """Some arm between the first and the last ends better than both: an optimum that more training does not move.

    The arm is chosen on the first half of the seeds by the mean of the metric's last value. On the other half it is
    compared with both ends, seed by seed, and has to be better than each. (``interior optimum`` compares times to a
    target, or means over the run, which favour what is fast at first.)

    Args:
        arms: in order.
        metric: the figure's metric by default.
        least: the difference in the metric has to be larger than this.
    """

    keyword: ClassVar[str] = "optimum at the end"

    arms: list[str]
    metric: str | None = None
    least: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.arms)) < max(3, len(self.arms)):
            raise SettingError("arms", self.arms, "a list of three or more different arms")

    def names(self) -> list[str]:
        return self.arms

    def test(self, outcome: Outcome) -> Tested:
        metric = self.metric or outcome.metric
        end = float(min(outcome.arms[name]["samples"].max() for name in self.arms))
        scores = outcome.scores(self.arms, metric, statistics.is_better_above(metric), end)
        half = len(scores) // 2
        choosing, testing = scores.iloc[:half], scores.iloc[half:]
        best = choosing[self.arms[1:-1]].mean().idxmax() if half else self.arms[1]
        differences = [
            outcome.mean((testing[best] - testing[name]).to_numpy()) for name in self.arms[:: len(self.arms) - 1]
        ]
        worst = Estimate(*np.min(differences, axis=0).tolist())
        more = f", by more than {significant(self.least)}" if self.least else ""
        says = f"at the end the best of {', '.join(self.arms)} is in between{more}"
        effect = f"difference in the last {metric}, {best} against the better end"
        means = ", ".join(f"{mean:.3g}" for mean in scores.mean().abs())
        note = f"{best}, chosen on {half} seeds and tested on {len(testing)}; means {means}"
        return Tested(says, effect, worst, judge(worst, self.least), note, (self.least, np.inf))
