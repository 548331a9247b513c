"""A quantity grows or shrinks along a row of arms, or the gap along a row of pairs of arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome, log_times, run_means
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics
from svl.results.statistics import Unit


@dataclass(frozen=True)
class Trend:
    """What is measured goes up, or down, from each entry of ``along`` to the next.

    An entry is an arm, whose ``metric`` over the run is taken, or a pair ``[small, large]``, whose gap is taken: the
    logarithm of the ratio of the large one's time to target to the small one's. A seed that has not got there counts
    with the end of its run, which makes large gaps look smaller. The slope by least squares against the entries'
    places is found for every seed and its mean tested.

    Args:
        along: two or more entries.
        goes: ``up`` or ``down``.
        unit: of the times, ``samples`` or ``step``.
        metric: of arms; the figure's if left out.
    """

    along: list[Any]
    goes: Literal["up", "down"]
    unit: Unit = "step"
    metric: str | None = None

    def __post_init__(self) -> None:
        pairs = [isinstance(one, list) and len(one) == 2 for one in self.along]
        if len(self.along) < 2 or any(pairs) != all(pairs):
            raise SettingError("along", self.along, "two or more arms, or two or more pairs [small, large]")

    @property
    def is_gap(self) -> bool:
        """Whether the entries are pairs."""
        return isinstance(self.along[0], list)

    def names(self) -> list[str]:
        return [name for one in self.along for name in one] if self.is_gap else self.along

    def test(self, outcome: Outcome) -> Tested:
        values = pd.DataFrame({place: self._values(outcome, one) for place, one in enumerate(self.along)})
        place = np.arange(len(self.along)) - (len(self.along) - 1) / 2
        slopes = values.to_numpy(np.float64) @ place / (place @ place)
        estimate = statistics.mean(slopes if self.goes == "up" else -slopes)
        what = "gap" if self.is_gap else self.metric or outcome.metric
        along = ", ".join(one[0] if self.is_gap else one for one in self.along)
        levels = ", ".join(f"{mean:.3g}" for mean in values.mean())
        says = f"the {what} goes {self.goes} along {along}"
        log = "log-ratio of times" if self.is_gap else what
        return Tested(
            says, f"change of the {log} a place, {self.goes}", estimate, judge(estimate, 0.0), f"means {levels}"
        )

    def _values(self, outcome: Outcome, one: Any) -> pd.Series:
        if not self.is_gap:
            return run_means(outcome.arms[one], self.metric or outcome.metric)
        small, large = one
        end = float(min(outcome.arms[name][self.unit].max() for name in one))
        return log_times(outcome.times(large), self.unit, end) - log_times(outcome.times(small), self.unit, end)
