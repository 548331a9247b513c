"""An arm is ahead of another over the run, and so reaches the target sooner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import REACHED, Gain, Outcome
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results import bootstrap, statistics
from svl.results.quantity import significant
from svl.results.statistics import Unit

BUDGETS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))
"""The preset budgets at which arms are compared, as fractions of the shorter run."""


@dataclass(frozen=True)
class Faster(Claim):
    """``arm`` learns faster than ``than``, by the paper's own statistic: the mean over seeds of the metric at a budget.

    The statistic is the difference of the metric between the arms, averaged over ten preset budgets (every tenth of the
    shorter run), seed by seed; it has to be above 0. The ratio of the restricted mean times to the target
    (:meth:`~svl.reproduction.outcome.Outcome.gain`) is reported beside it. It decides instead where the claim is about
    the times themselves: with ``by`` above 1, or with ``decided_by: time``.

    Args:
        unit: of budgets and times, ``samples`` or ``step``.
        by: with a factor above 1, the ratio of times has to be above it; a seed that does not reach the target then
            counts with the end of its own run, and four fifths of the seeds of ``arm`` have to reach it.
        target: the figure's target by default.
        decided_by: ``metric``, or ``time`` for a target of its own or a metric whose later values say nothing.

    Source: Liu et al. 2026, section 2 ("we report expected performance under a fixed compute").
    """

    keyword: ClassVar[str] = "faster"

    arm: str
    than: str
    unit: Unit = "samples"
    by: float = 1.0
    target: float | None = None
    decided_by: Literal["metric", "time"] = "metric"

    def __post_init__(self) -> None:
        if self.by < 1:
            raise SettingError("by", self.by, "a factor of at least 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        gain = outcome.gain(self.arm, self.than, self.unit, self.target, to_own_end=self.by > 1)
        unit = "steps" if self.unit == "step" else "samples"
        if self.by == 1 and self.decided_by == "metric":
            return self._by_metric(outcome, gain, unit)
        arm, than = (outcome.times(name, self.target) for name in self.names())
        medians = bootstrap.ratio_of_medians(arm, than, self.unit)
        bound = {">=": "at least ", "<=": "at most ", "?": "neither is known, "}.get(medians.bound, "")
        note = f"medians: {bound}{_shown(medians.value)}{'; ' * bool(gain.censored())}{gain.censored()}"
        by = f" by more than {significant(self.by)}\N{MULTIPLICATION SIGN}" if self.by != 1 else ""
        verdict = judge(gain.ratio, self.by)
        if self.by > 1 and gain.never[self.arm] > (1 - REACHED) * gain.seeds and verdict is Verdict.REPRODUCED:
            verdict = Verdict.UNDECIDED
        return Tested(
            f"{self.arm} needs fewer {unit} than {self.than}{by}",
            f"ratio of restricted mean {unit} to target",
            gain.ratio,
            verdict,
            note,
            (self.by, np.inf),
            is_ratio=True,
        )

    def _by_metric(self, outcome: Outcome, gain: Gain, unit: str) -> Tested:
        higher = statistics.is_better_above(outcome.metric)
        end = min(outcome.arms[name][self.unit].max() for name in self.names())
        tables = [outcome.scores(self.names(), outcome.metric, higher, part * end, self.unit) for part in BUDGETS]
        difference = np.mean([(table[self.arm] - table[self.than]).to_numpy(np.float64) for table in tables], axis=0)
        estimate = outcome.mean(difference)
        value, low, high = map(_shown, gain.ratio)
        note = f"ratio of restricted mean {unit} to target {value} [{low}, {high}]"
        note += f"{'; ' * bool(gain.censored())}{gain.censored()}"
        return Tested(
            f"{self.arm} is ahead of {self.than} at equal {unit}",
            f"difference in {outcome.metric}, mean over {len(BUDGETS)} budgets",
            estimate,
            judge(estimate, 0.0),
            note,
            (0.0, np.inf),
        )


def _shown(number: float) -> str:
    return "-" if math.isnan(number) else significant(number)
