"""The histories of a figure's fits by arm, with the times and scores on which claims are tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from svl.errors import SettingError, nearest
from svl.results import bootstrap, statistics
from svl.results.statistics import Estimate, Unit

REACHED = 0.8
"""The share of an arm's seeds that have to reach the target; with fewer, times are mostly the length of the run."""


@dataclass(frozen=True)
class Outcome:
    """The histories on which claims are tested.

    Attributes:
        metric: the metric that has to pass the target.
        target: its value.
        arms: history of each arm by name (``fit/arm`` where a figure has several fits), with all reported seeds.
        grids: history of each arm on the tuning seeds, with a column for each tuned rate.
        settings: of each arm, including the chosen rates.
        numbers: the results of an experiment of ``svl theory``.
        level: of the intervals of claims about arms: 95 %, or more where several looks at the data are planned.
    """

    metric: str
    target: float
    arms: Mapping[str, pd.DataFrame]
    grids: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    level: float = statistics.LEVEL

    def mean(self, values: Float[ndarray, "seed"]) -> Estimate:
        """The mean over seeds with the wider of the bootstrap's interval and Student's, at the outcome's level."""
        return bootstrap.mean(values, self.level)

    def gain(self, arm: str, than: str, unit: Unit, target: float | None = None, to_own_end: bool = False) -> Gain:
        """How much sooner ``arm`` reaches the target than ``than``: the ratio of their restricted mean times.

        A seed's time is restricted to the end of the shorter run, which is its time where it does not reach the target
        by then. With T and T' the times of ``than`` and of ``arm``, the ratio is mean(T) / mean(T'), and the error of
        its logarithm is that of the mean over seeds of T / mean(T) - T' / mean(T'), which is paired by seed.

        Args:
            to_own_end: restrict times to the end of each arm's own run, for arms whose steps differ much in cost.

        Source: Royston and Parmar 2013 (restricted means); the delta method.
        """
        ends = {name: float(self.arms[name][unit].max()) for name in (arm, than)}
        ends = ends if to_own_end else dict.fromkeys(ends, min(ends.values()))
        times = {name: self.times(name, target) for name in (arm, than)}
        table = pd.DataFrame({name: restricted(rows, unit, ends[name]) for name, rows in times.items()}).dropna()
        fast, slow = (table[name].to_numpy(np.float64) for name in (arm, than))
        error = self.mean(slow / slow.mean() - fast / fast.mean())
        log = float(np.log(slow.mean() / fast.mean()))
        never = {name: int((~(rows["reached"] & (rows[unit] <= ends[name]))).sum()) for name, rows in times.items()}
        return Gain(Estimate(*np.exp([log, log + error.low, log + error.high]).tolist()), never, len(table))

    def times(self, arm: str, target: float | None = None) -> pd.DataFrame:
        """When each seed passes the target (``statistics.time_to_target``); diverged seeds are censored at the end."""
        rows = self.arms[arm]
        times = statistics.time_to_target(rows, self.metric, self.target if target is None else target)
        gone = times.index.isin(rows.loc[statistics.diverged(rows), "seed"]) & ~times["reached"]
        return times.assign(**{unit: times[unit].mask(gone, rows[unit].max()) for unit in ("step", "samples")})

    def scores(
        self, arms: Sequence[str], metric: str, higher: bool, at: float | None = None, unit: Unit = "samples"
    ) -> pd.DataFrame:
        """The function :func:`scores` for some of the arms."""
        return scores({name: self.arms[name] for name in arms}, metric, higher, at, unit)


class Gain(NamedTuple):
    """A ratio of restricted mean times to the target.

    Attributes:
        ratio: that of the reference over that of the arm.
        never: how many seeds of each arm do not reach the target by the end to which times are restricted.
        seeds: the number of pairs.
    """

    ratio: Estimate
    never: dict[str, int]
    seeds: int

    def censored(self) -> str:
        """``large: 3/32 never``, or nothing."""
        return ", ".join(f"{name}: {count}/{self.seeds} never" for name, count in self.never.items() if count)


def scores(
    histories: Mapping[Any, pd.DataFrame], metric: str, higher: bool, at: float | None = None, unit: Unit = "samples"
) -> pd.DataFrame:
    """A score for every seed and history, higher is better; a diverged seed gets the worst score of all.

    Args:
        higher: whether larger values of the metric are better.
        at: the score is the last value within this budget of ``unit``; if ``None``, it is the mean over all
            measurements except the first.

    Raises:
        SettingError: if a history does not have the metric.
    """
    by_name, worst, sign = {}, np.inf, 1 if higher else -1
    for name, rows in histories.items():
        if metric not in rows:
            raise SettingError("metric", metric, f"a metric of the history of {name}")
        values = _run_means(rows, metric) if at is None else statistics.value_at(rows, metric, at, unit)
        by_name[name] = sign * values.astype(np.float64)
        worst = min(worst, (sign * rows[metric]).min())
    return pd.DataFrame(by_name).fillna(worst if np.isfinite(worst) else 0.0)


def log_times(times: pd.DataFrame, unit: Unit, end: float) -> pd.Series:
    """The logarithm of each seed's time to target, restricted to ``end`` where the target is not reached by then."""
    return np.log(restricted(times, unit, end))


def restricted(times: pd.DataFrame, unit: Unit, end: float) -> pd.Series:
    """Each seed's time to target, restricted to ``end`` where the target is not reached by then; at least 1."""
    known = times[unit].where(times["reached"], end).clip(upper=end)
    return known.clip(lower=1).astype(np.float64)


def _run_means(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Each seed's mean of a metric over all measurements except the first; NaN for a diverged seed."""
    later = rows[rows["step"] > rows["step"].min()]
    means = later.groupby("seed")[metric].mean()
    gone = later.loc[statistics.diverged(later), "seed"].unique()
    return means.mask(means.index.isin(gone))


def check_arm(key: str, name: Any, known: Mapping[str, Any]) -> str:
    """Check that an arm exists, and return its name.

    Raises:
        SettingError: if there is no arm of that name.
    """
    if not isinstance(name, str) or name not in known:
        raise SettingError(key, name, ", ".join(known) + nearest(str(name), list(known)))
    return name
