"""The best value of one tuned rate is larger than that of another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.tuning import scores
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results import bootstrap
from svl.results.quantity import setting, significant
from svl.results.statistics import HIGH, LOW, Estimate


@dataclass(frozen=True)
class BestRatio(Claim):
    """At the best rates of ``arm``, the rate ``of`` is more than ``above`` times the rate ``over``.

    Tested on the tuning seeds: every bootstrap resample of them chooses its own best point of the grid. The interval is
    as coarse as the grid; give both rates the same values, so that chance favours neither.

    Args:
        of: the tuned setting in the numerator.
        over: the tuned setting in the denominator; or a setting of the arm that an earlier grid has chosen.
        above: the least ratio that is claimed.
    """

    keyword: ClassVar[str] = "ratio of best rates"

    arm: str
    of: str
    over: str
    above: float = 1.0

    def names(self) -> list[str]:
        return [self.arm]

    def check(self, tuned: Collection[str], settings: Collection[str]) -> None:
        for name, given, allowed in (("of", self.of, tuned), ("over", self.over, settings)):
            if given not in allowed:
                raise SettingError(name, given, ", ".join(sorted(allowed)))

    def test(self, outcome: Outcome) -> Tested:
        grid = outcome.grids.get(self.arm)
        if grid is None or self.of not in grid:
            raise SettingError("of", self.of, "a setting that the figure tunes")
        tried = scores(grid, outcome.metric, [name for name in (self.of, self.over) if name in grid])
        points = tried.columns.to_frame(index=False)
        under = points[self.over] if self.over in points else outcome.settings[self.arm][self.over]
        ratios = (points[self.of] / under).to_numpy(np.float64)
        weights = np.vstack([np.ones((1, len(tried))), bootstrap.resamples(len(tried))])
        means = weights @ tried.to_numpy(np.float64)
        chosen = ratios[means.argmax(1)]
        low = float(np.quantile(chosen[1:], LOW, method="lower"))
        high = float(np.quantile(chosen[1:], HIGH, method="higher"))
        several = len(tried) > 1
        estimate = Estimate(float(chosen[0]), low if several else np.nan, high if several else np.nan)
        flat = np.ptp(means[0]) == 0
        best = dict(zip(points, points.iloc[means[0].argmax()], strict=True))
        says = f"the best {self.of} of {self.arm} is more than {significant(self.above)} times {self.over}"
        note = "best at " + ", ".join(f"{name} = {setting(value)}" for name, value in best.items())
        verdict = Verdict.UNDECIDED if flat else judge(estimate, self.above)
        return Tested(
            says,
            "ratio of the best rates",
            estimate,
            verdict,
            "all rates are equally good" if flat else note,
            claimed=(self.above, np.inf),
            is_ratio=True,
            by_seeds=False,
        )
