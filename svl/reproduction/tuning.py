"""Tuning: each arm gets the point of a grid with the best mean over the run, on seeds that are not reported."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from svl.checks import check_whole
from svl.errors import SettingError
from svl.reproduction import outcome
from svl.reproduction.fields import build
from svl.reproduction.fit import Settings
from svl.reproduction.outcome import check_arm
from svl.results import statistics
from svl.results.arm_label import short_names
from svl.results.quantity import setting


@dataclass(frozen=True)
class Tuning:
    """A grid of rates that arms try.

    Attributes:
        settings: the values of each setting, in order; the grid is their product. Settings that share a value are one
            entry, with commas between their names.
        seeds: number of tuning seeds.
        first_seed: the first tuning seed; the reported seeds are others.
        only: the arms that try this grid; all if ``None``. Other arms keep their settings or have another grid.
        fits: the fits of which arms try this grid; all if ``None``.
    """

    settings: dict[str, list[Any]]
    seeds: int = 8
    first_seed: int = 100_000
    only: list[str] | None = None
    fits: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """The first setting of each entry."""
        return [key.split(",")[0] for key in self.settings]

    @property
    def points(self) -> list[Settings]:
        """The points of the grid, with every setting under its own name."""
        return [
            {name.strip(): value for key, value in zip(self.settings, values, strict=True) for name in key.split(",")}
            for values in itertools.product(*self.settings.values())
        ]

    def tried_by(self, arm: str) -> bool:
        """Whether an arm tries this grid."""
        return self.only is None or arm in self.only

    def tried_in(self, fit: str) -> bool:
        """Whether the arms of a fit try this grid."""
        return self.fits is None or fit in self.fits

    def arms(self, arms: Mapping[str, Settings]) -> dict[str, Settings]:
        """An arm for each arm that tries this grid and each point: ``small 0``, ``small 1``, ..."""
        trying = {name: settings for name, settings in arms.items() if self.tried_by(name)}
        return {
            f"{name} {place}": settings | point
            for name, settings in trying.items()
            for place, point in enumerate(self.points)
        }


@dataclass(frozen=True)
class Choice:
    """The result of an arm's grid.

    Attributes:
        best: the chosen point.
        edges: settings whose best value is the first or the last of the grid.
    """

    best: Settings
    edges: list[str]


FEWEST = 4
"""The fewest tuning seeds: with two, the best of a grid is mostly luck."""


def read(key: str, content: Any, arms: Mapping[str, Any], fits: Mapping[str, Any]) -> list[Tuning]:
    """One grid or several, one after the other: ``{seeds: 8, settings: {model.optimizer.lr: [0.3, 1, 3]}}``.

    Args:
        key: the grid's place in the config.
        arms: the figure's arms by name.
        fits: the figure's fits by name.

    Raises:
        SettingError: naming what is wrong.
    """
    grids = []
    for entry in content if isinstance(content, list) else [content] if content else []:
        settings = entry.get("settings") if isinstance(entry, Mapping) else None
        if not isinstance(settings, Mapping) or not settings:
            raise SettingError(key, entry, "a mapping with settings: {settings: {model.optimizer.lr: [0.3, 1, 3]}}")
        for name, values in settings.items():
            if not isinstance(values, list) or not values:
                raise SettingError(f"{key}.settings.{name}", values, "a list of values, in order")
        tuning = build(key, Tuning, entry)
        for name in tuning.only or []:
            check_arm(f"{key}.only", name, arms)
        for name in tuning.fits or []:
            check_arm(f"{key}.fits", name, fits)
        check_whole(f"{key}.seeds", tuning.seeds, FEWEST)
        grids.append(tuning)
    return grids


def scores(rows: pd.DataFrame, metric: str, settings: Sequence[str]) -> pd.DataFrame:
    """The mean of ``metric`` over the run, higher is better: one row per seed, one column per point of the grid.

    A seed that diverges counts as the worst of the whole grid.
    """
    points = dict(iter(rows.groupby(list(settings), sort=False)))
    table = outcome.scores(points, metric, statistics.is_better_above(metric))
    table.columns = pd.MultiIndex.from_tuples([*points], names=list(settings))
    return table


def choose(rows: pd.DataFrame, metric: str, tuning: Tuning) -> Choice:
    """The best point of an arm's grid."""
    means = scores(rows, metric, tuning.names).mean()
    points = tuning.points
    best = points[int(np.argmax([means[tuple(point[name] for name in tuning.names)] for point in points]))]
    tried = zip(tuning.names, tuning.settings.values(), strict=True)
    edges = [name for name, values in tried if len(values) > 1 and best[name] in (values[0], values[-1])]
    return Choice(best, edges)


def described(settings: Mapping[str, Any]) -> str:
    """``lr = 0.3, qk.lr = 1``."""
    named = zip(short_names(list(settings)), settings.values(), strict=True)
    return ", ".join(f"{name} = {setting(value)}" for name, value in named)
