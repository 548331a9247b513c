"""Rates are chosen for each arm on seeds of their own: the point of a grid with the best mean over the run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from svl.errors import SettingError, check_whole
from svl.reproduction.outcome import run_means
from svl.results import statistics
from svl.results.quantity import setting

Settings = dict[str, Any]


@dataclass(frozen=True)
class Tuning:
    """A grid that every arm tries.

    Attributes:
        settings: values of each, in order; the grid is their product.
        seeds: on which it is tried.
        first_seed: the first of them; the reported seeds are others.
    """

    settings: dict[str, list[Any]]
    seeds: int = 8
    first_seed: int = 100_000

    @property
    def points(self) -> list[Settings]:
        """The grid's points."""
        return [dict(zip(self.settings, values, strict=True)) for values in itertools.product(*self.settings.values())]


@dataclass(frozen=True)
class Choice:
    """What an arm's grid came to.

    Attributes:
        best: the point that was chosen.
        edges: settings whose best value is the first or last that was tried.
    """

    best: Settings
    edges: list[str]


def read(key: str, content: Any) -> list[Tuning]:
    """One grid or several, one after the other: ``{seeds: 8, settings: {model.optimizer.lr: [0.3, 1, 3]}}``.

    Raises:
        SettingError: naming what is wrong.
    """
    grids = []
    for one in content if isinstance(content, list) else [content] if content else []:
        settings = one.get("settings") if isinstance(one, Mapping) else None
        if not isinstance(settings, Mapping) or not settings:
            raise SettingError(
                key, one, "a mapping with settings, and with seeds and first_seed if they are not 8 and 100000"
            )
        for name in one:
            if name not in ("settings", "seeds", "first_seed"):
                raise SettingError(f"{key}.{name}", one[name], "settings, seeds, first_seed")
        for name, values in settings.items():
            if not isinstance(values, list) or not values:
                raise SettingError(f"{key}.settings.{name}", values, "a list of values, in order")
        tuning = Tuning(**{**one, "settings": dict(settings)})
        check_whole(f"{key}.seeds", tuning.seeds, 1)
        grids.append(tuning)
    return grids


def scores(rows: pd.DataFrame, metric: str, settings: Sequence[str]) -> pd.DataFrame:
    """The mean of ``metric`` over the run, the higher the better: a row each seed, a column each point of the grid.

    A seed that diverges counts as the worst of the whole grid.
    """
    groups = rows.groupby(list(settings), sort=False)
    found = pd.DataFrame({point: run_means(own, metric) for point, own in groups}).astype(np.float64)
    found.columns = pd.MultiIndex.from_tuples([*found.columns], names=list(settings))
    found = found if statistics.is_better_above(metric) else -found
    return found.fillna(np.nanmin(found.to_numpy()) if found.notna().any(axis=None) else 0.0)


def choose(rows: pd.DataFrame, metric: str, tuning: Tuning) -> Choice:
    """The best point of an arm's grid."""
    means = scores(rows, metric, list(tuning.settings)).mean()
    place = tuning.points[int(np.argmax([means[tuple(point.values())] for point in tuning.points]))]
    edges = [
        name for name, values in tuning.settings.items() if len(values) > 1 and place[name] in (values[0], values[-1])
    ]
    return Choice(place, edges)


def described(settings: Mapping[str, Any]) -> str:
    """``lr = 0.3, qk.lr = 1``."""
    from svl.results.arms import short_names

    return ", ".join(f"{n} = {setting(v)}" for n, v in zip(short_names(list(settings)), settings.values(), strict=True))
