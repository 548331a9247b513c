"""An arm is better than another at equal samples or steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome, run_means
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
        if self.at != "run" and not (isinstance(self.at, list) and all(0 < one <= 1 for one in self.at)):
            raise SettingError("at", self.at, "run, or a list of fractions above 0 and up to 1")

    def names(self) -> list[str]:
        return [self.arm, self.than]

    def test(self, outcome: Outcome) -> Tested:
        metric = self.metric or outcome.metric
        higher = statistics.is_better_above(metric) if self.higher is None else self.higher
        arm, than = (outcome.arms[name] for name in self.names())
        for rows in (arm, than):
            if metric not in rows:
                raise SettingError("metric", metric, "a column of the history")
        sign = 1.0 if higher else -1.0
        if self.at == "run":
            shared = run_means(arm, metric) - run_means(than, metric)
            worst, where = statistics.mean(sign * shared.to_numpy(np.float64)), "over the run"
        else:
            ends = min(arm[self.unit].max(), than[self.unit].max())
            points = [fraction * ends for fraction in self.at]
            found = [
                statistics.mean(
                    sign * (_until(arm, metric, self.unit, p) - _until(than, metric, self.unit, p)).to_numpy()
                )
                for p in points
            ]
            worst = Estimate(*(min(one) for one in zip(*found, strict=True)))
            where = f"after {', '.join(map(quantity, points))} {'steps' if self.unit == 'step' else 'samples'}"
        by = f" by more than {significant(self.by)}" if self.by else ""
        says = f"{self.arm} has the {'higher' if higher else 'lower'} {metric} {where}{by}, against {self.than}"
        return Tested(says, f"{'least ' * (self.at != 'run')}difference in {metric}", worst, judge(worst, self.by))


def _until(rows: pd.DataFrame, metric: str, unit: Unit, budget: float) -> pd.Series:
    """Each seed's last value within a budget."""
    logged = rows[rows[metric].notna() & (rows[unit] <= budget)]
    return logged.drop_duplicates("seed", keep="last").set_index("seed")[metric].astype(np.float64)
