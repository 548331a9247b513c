"""A quantity grows or shrinks along a row of arms, or the gap along a row of pairs of arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.outcome import Outcome, log_times, mean
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results.statistics import Unit


@dataclass(frozen=True)
class Trend:
    """What is measured goes up, or down, along the entries: their slope, and no entry goes significantly back.

    An entry is an arm, whose ``metric`` over the run is taken, or a pair ``[small, large]``, whose gap is taken: the
    logarithm of the ratio of the large one's time to target to the small one's. A seed that has not got there counts
    with the end of its run, which makes a gap look smaller; so nothing is decided where half of the seeds of an arm do
    not get there, but for the entry whose gap is claimed to be the largest. The slope by least squares against the
    entries' places is found for every seed and its mean tested.

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
        values = self._gaps(outcome) if self.is_gap else self._metrics(outcome)
        sign = 1 if self.goes == "up" else -1
        table = sign * values.to_numpy(np.float64)
        place = np.arange(len(self.along)) - (len(self.along) - 1) / 2
        estimate = mean(table @ place / (place @ place))
        verdict = judge(estimate, 0.0)
        back = [mean(difference).high < 0 for difference in np.diff(table, axis=1).T]
        if (self.is_gap and not self._is_known(outcome)) or (verdict is Verdict.REPRODUCED and any(back)):
            verdict = Verdict.UNDECIDED
        what = "gap" if self.is_gap else self.metric or outcome.metric
        along = ", ".join(one[0] if self.is_gap else one for one in self.along)
        note = f"means {', '.join(f'{level:.3g}' for level in values.mean())}"
        note += ", of which some are bounds: half of the seeds never get there" * (
            self.is_gap and not self._is_known(outcome)
        )
        says = f"the {what} goes {self.goes} along {along}"
        effect = f"change of the {'log-ratio of times' if self.is_gap else what} a place, {self.goes}"
        return Tested(says, effect, estimate, verdict, note)

    def _is_known(self, outcome: Outcome) -> bool:
        """Whether half of the seeds get there in all pairs but that of the largest gap."""
        smaller = self.along[:-1] if self.goes == "up" else self.along[1:]
        return all(outcome.times(name)["reached"].mean() > 0.5 for pair in smaller for name in pair)

    def _metrics(self, outcome: Outcome) -> pd.DataFrame:
        metric = self.metric or outcome.metric
        return outcome.scores(self.along, metric, higher=True)

    def _gaps(self, outcome: Outcome) -> pd.DataFrame:
        gaps = {}
        for number, (small, large) in enumerate(self.along):
            end = float(min(outcome.arms[name][self.unit].max() for name in (small, large)))
            times = {name: log_times(outcome.times(name), self.unit, end) for name in (small, large)}
            gaps[number] = times[large] - times[small]
        return pd.DataFrame(gaps)
