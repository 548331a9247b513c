"""An arm reaches the target sooner than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results import bootstrap, statistics
from svl.results.quantity import significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class Faster(Claim):
    """The median time to target of ``than`` is more than ``by`` times that of ``arm``.

    Decided by the bootstrap interval of the ratio of Kaplan-Meier medians, paired by seed and censored where the target
    is not reached; for ``by = 1`` also by the log-rank test, both at 5 %.

    Args:
        unit: of the times, ``samples`` or ``step``.
        target: the figure's target by default.
    """

    keyword: ClassVar[str] = "faster"

    arm: str
    than: str
    unit: Unit = "samples"
    by: float = 1.0
    target: float | None = None

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        arm, than = (outcome.times(name, self.target) for name in self.names())
        gain = bootstrap.ratio_of_medians(arm, than, self.unit)
        p = statistics.logrank_p(arm, than, self.unit)
        estimate = Estimate(gain.value, gain.low, gain.high)
        verdict = judge(estimate, self.by)
        if self.by == 1 and not p < 0.05:
            verdict = Verdict.UNDECIDED
        unit = "steps" if self.unit == "step" else "samples"
        by = f" by more than {significant(self.by)}\N{MULTIPLICATION SIGN}" if self.by != 1 else ""
        bound = {">=": "at least; ", "<=": "at most; ", "?": "neither reaches the target; "}.get(gain.bound, "")
        never = ", ".join(
            f"{name}: {int((~times['reached']).sum())}/{len(times)} never"
            for name, times in ((self.arm, arm), (self.than, than))
            if not times["reached"].all()
        )
        note = f"{bound}log-rank p = {p:.2g}{'; ' * bool(never)}{never}"
        says = f"{self.arm} needs fewer {unit} than {self.than}{by}"
        return Tested(says, f"ratio of median {unit} to target", estimate, verdict, note)
