"""An arm is better than another at equal samples or steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.quantity import quantity, significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class Ahead(Claim):
    """The mean over seeds of ``metric`` is better in ``arm`` than in ``than``, seed by seed.

    Args:
        at: ``run`` for the mean over the whole run; or a list of fractions of the shorter of the two runs, at each of
            which the claim has to hold.
        unit: of these fractions, ``samples`` or ``step``.
        metric: the figure's metric by default.
        higher: whether larger values are better; by default decided by the metric's name (accuracies, losses).
        by: the least difference that counts.
    """

    keyword: ClassVar[str] = "ahead"

    arm: str
    than: str
    at: Any = "run"
    unit: Unit = "samples"
    metric: str | None = None
    higher: bool | None = None
    by: float = 0.0

    def __post_init__(self) -> None:
        points = self.at if isinstance(self.at, list) else []
        if self.at != "run" and not (
            points and all(isinstance(point, int | float) and 0 < point <= 1 for point in points)
        ):
            raise SettingError("at", self.at, "run, or a list of fractions above 0 and up to 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        metric = self.metric or outcome.metric
        higher = statistics.is_better_above(metric) if self.higher is None else self.higher
        end = min(outcome.arms[name][self.unit].max() for name in self.names())
        points: list[Any] = [None] if self.at == "run" else [fraction * end for fraction in self.at]
        tables = [outcome.scores(self.names(), metric, higher, point, self.unit) for point in points]
        differences = [outcome.mean((table[self.arm] - table[self.than]).to_numpy()) for table in tables]
        worst = Estimate(*np.min(differences, axis=0).tolist())
        units = "steps" if self.unit == "step" else "samples"
        when = "over the run" if self.at == "run" else f"after {', '.join(map(quantity, points))} {units}"
        by = f" by more than {significant(self.by)}" if self.by else ""
        says = f"{self.arm} has the {'higher' if higher else 'lower'} {metric} {when}{by}, against {self.than}"
        effect = f"{'least ' * (self.at != 'run')}difference in {metric}"
        return Tested(says, effect, worst, judge(worst, self.by), claimed=(self.by, np.inf))
