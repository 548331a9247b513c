"""What a figure's fits came to, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from svl.errors import SettingError, nearest
from svl.results import statistics
from svl.results.statistics import Unit


@dataclass(frozen=True)
class Outcome:
    """The histories that claims are tested on.

    Attributes:
        metric: what has to pass the target.
        target: its value.
        arms: by name, ``fit/arm`` where a figure has several fits: the rows of the history, all seeds.
        grids: likewise, of the fits on tuning seeds: rows with a column for each rate that was tried.
        settings: of each arm, with the rates that were chosen.
        numbers: what an experiment of ``svl theory`` has measured.
    """

    metric: str
    target: float
    arms: Mapping[str, pd.DataFrame]
    grids: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def times(self, arm: str, target: float | None = None) -> pd.DataFrame:
        """When each seed passes the target (``statistics.time_to_target``)."""
        return statistics.time_to_target(self.arms[arm], self.metric, self.target if target is None else target)


def log_times(times: pd.DataFrame, unit: Unit, end: float) -> pd.Series:
    """Each seed's log of its time to target, or of ``end`` where that is not reached by then: a restricted time."""
    known = times[unit].where(times["reached"], end).clip(upper=end)
    return np.log(known.clip(lower=1).astype(np.float64))


def run_means(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Each seed's mean of a metric over the measurements after the first; NaN where it has diverged."""
    later = rows[rows["step"] > rows["step"].min()]
    found = later.groupby("seed")[metric].mean()
    gone = later.loc[statistics.diverged(later), "seed"].unique()
    return found.mask(found.index.isin(gone))


def check_arm(key: str, name: Any, known: Mapping[str, Any]) -> str:
    """The name of an arm.

    Raises:
        SettingError: if there is none of that name.
    """
    if not isinstance(name, str) or name not in known:
        raise SettingError(key, name, ", ".join(known) + nearest(str(name), list(known)))
    return name
