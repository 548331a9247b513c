"""What a figure's fits came to, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from svl.errors import SettingError, nearest
from svl.results import statistics
from svl.results.statistics import Estimate, Unit


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
        """When each seed passes the target (``statistics.time_to_target``); one that diverges does not by the end."""
        rows = self.arms[arm]
        times = statistics.time_to_target(rows, self.metric, self.target if target is None else target)
        gone = times.index.isin(rows.loc[statistics.diverged(rows), "seed"]) & ~times["reached"]
        return times.assign(**{unit: times[unit].mask(gone, rows[unit].max()) for unit in ("step", "samples")})

    def scores(
        self, arms: Sequence[str], metric: str, higher: bool, at: float | None = None, unit: Unit = "samples"
    ) -> pd.DataFrame:
        """:func:`scores` of some arms."""
        return scores({name: self.arms[name] for name in arms}, metric, higher, at, unit)


def scores(
    histories: Mapping[Any, pd.DataFrame], metric: str, higher: bool, at: float | None = None, unit: Unit = "samples"
) -> pd.DataFrame:
    """A metric of every seed and history, the higher the better; a seed that has diverged has the worst ever measured.

    Args:
        higher: whether more is better.
        at: budget of ``unit``; the mean over the measurements after the first if ``None``.

    Raises:
        SettingError: if the histories have no such metric.
    """
    found, worst, sign = {}, np.inf, 1 if higher else -1
    for name, rows in histories.items():
        if metric not in rows:
            raise SettingError("metric", metric, f"a metric of the history of {name}")
        values = _run_means(rows, metric) if at is None else statistics.value_at(rows, metric, at, unit)
        found[name] = sign * values.astype(np.float64)
        worst = min(worst, (sign * rows[metric]).min())
    return pd.DataFrame(found).fillna(worst if np.isfinite(worst) else 0.0)


def log_times(times: pd.DataFrame, unit: Unit, end: float) -> pd.Series:
    """Each seed's log of its time to target, or of ``end`` where that is not reached by then: a restricted time."""
    known = times[unit].where(times["reached"], end).clip(upper=end)
    return np.log(known.clip(lower=1).astype(np.float64))


def mean(values: Float[ndarray, "seed"]) -> Estimate:
    """The mean with the wider of a bootstrap and Student's interval: of few seeds the bootstrap's is too narrow."""
    found = statistics.mean(values)
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return found
    reach = float(stats.t.ppf(statistics.HIGH, len(finite) - 1) * stats.sem(finite))
    return Estimate(found.value, min(found.low, found.value - reach), max(found.high, found.value + reach))


def _run_means(rows: pd.DataFrame, metric: str) -> pd.Series:
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
