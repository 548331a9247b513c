"""A quantity grows or shrinks along a list of arms, or a gap along a list of pairs of arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome, log_times
from svl.reproduction.verdict import Tested, Verdict, judge
from svl.results.statistics import Unit


@dataclass(frozen=True)
class Trend(Claim):
    """A quantity goes up, or down, along the entries: the slope does, and no entry goes significantly back.

    The quantity of an arm is the mean of ``metric`` over the run. That of a pair ``[small, large]`` is its gap: the
    logarithm of the ratio of the times to target, large to small. A seed that has not reached the target counts with
    the end of its run, which makes a gap look smaller; the claim is therefore undecided if half of the seeds of an arm
    do not reach the target, except in the entry whose gap is claimed to be the largest. For every seed the slope
    against the entries' positions is fitted by least squares, and the mean of the slopes is tested.

    Args:
        along: two or more entries.
        goes: ``up`` or ``down``.
        unit: of the times, ``samples`` or ``step``.
        metric: of arms; the figure's metric by default.
    """

    keyword: ClassVar[str] = "trend"

    along: list[Any]
    goes: Literal["up", "down"]
    unit: Unit = "step"
    metric: str | None = None

    def __post_init__(self) -> None:
        pairs = [isinstance(entry, list) and len(entry) == 2 for entry in self.along]
        if len(self.along) < 2 or any(pairs) != all(pairs):
            raise SettingError("along", self.along, "two or more arms, or two or more pairs [small, large]")

    @property
    def is_gap(self) -> bool:
        """Whether the entries are pairs."""
        return isinstance(self.along[0], list)

    def names(self) -> list[str]:
        return [name for pair in self.along for name in pair] if self.is_gap else self.along

    def test(self, outcome: Outcome) -> Tested:
        values = self._gaps(outcome) if self.is_gap else self._metrics(outcome)
        sign = 1 if self.goes == "up" else -1
        table = sign * values.to_numpy(np.float64)
        place = np.arange(len(self.along)) - (len(self.along) - 1) / 2
        estimate = outcome.mean(table @ place / (place @ place))
        verdict = judge(estimate, 0.0)
        back = [outcome.mean(difference).high < 0 for difference in np.diff(table, axis=1).T]
        if (self.is_gap and not self._is_known(outcome)) or (verdict is Verdict.REPRODUCED and any(back)):
            verdict = Verdict.UNDECIDED
        what = "gap" if self.is_gap else self.metric or outcome.metric
        along = ", ".join(entry[0] if self.is_gap else entry for entry in self.along)
        note = f"means {', '.join(f'{level:.3g}' for level in values.mean())}"
        note += ", some of which are bounds: half of the seeds never reach the target" * (
            self.is_gap and not self._is_known(outcome)
        )
        says = f"the {what} goes {self.goes} along {along}"
        effect = f"change of the {'log-ratio of times' if self.is_gap else what} per place, {self.goes}"
        return Tested(says, effect, estimate, verdict, note, (0.0, np.inf))

    def _is_known(self, outcome: Outcome) -> bool:
        """Whether half of the seeds reach the target in all pairs except that of the largest gap."""
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
