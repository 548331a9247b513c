"""An arm is better than another at equal samples or steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome, mean
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.quantity import quantity, significant
from svl.results.statistics import Estimate, Unit


@dataclass(frozen=True)
class Ahead:
    """The mean over seeds of ``metric`` is better in ``arm`` than in ``than``, seed by seed.

    Args:
        at: ``run`` for the mean over the whole run; or fractions of the shorter of the two runs, at each of which the
            claim has to hold.
        unit: of these fractions, ``samples`` or ``step``.
        metric: instead of the figure's.
        higher: whether more is better, where the metric's name does not tell (it does for accuracies and losses).
        by: the least difference.
    """

    arm: str
    than: str
    at: Any = "run"
    unit: Unit = "samples"
    metric: str | None = None
    higher: bool | None = None
    by: float = 0.0

    def __post_init__(self) -> None:
        points = self.at if isinstance(self.at, list) else []
        if self.at != "run" and not (points and all(isinstance(p, int | float) and 0 < p <= 1 for p in points)):
            raise SettingError("at", self.at, "run, or a list of fractions above 0 and up to 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        metric = self.metric or outcome.metric
        higher = statistics.is_better_above(metric) if self.higher is None else self.higher
        end = min(outcome.arms[name][self.unit].max() for name in self.names())
        points: list[Any] = [None] if self.at == "run" else [fraction * end for fraction in self.at]
        tables = [outcome.scores(self.names(), metric, higher, point, self.unit) for point in points]
        found = [mean((table[self.arm] - table[self.than]).to_numpy()) for table in tables]
        worst = Estimate(*np.min(found, axis=0).tolist())
        units = "steps" if self.unit == "step" else "samples"
        where = "over the run" if self.at == "run" else f"after {', '.join(map(quantity, points))} {units}"
        by = f" by more than {significant(self.by)}" if self.by else ""
        says = f"{self.arm} has the {'higher' if higher else 'lower'} {metric} {where}{by}, against {self.than}"
        return Tested(says, f"{'least ' * (self.at != 'run')}difference in {metric}", worst, judge(worst, self.by))
