"""Rates are chosen for each arm on seeds of their own: the point of a grid with the best mean over the run."""

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
from svl.reproduction.outcome import check_arm
from svl.results import statistics
from svl.results.quantity import setting

Settings = dict[str, Any]


@dataclass(frozen=True)
class Tuning:
    """A grid that arms try.

    Attributes:
        settings: values of each, in order; the grid is their product. Settings that share a value are one entry, with
            commas between their names.
        seeds: on which it is tried.
        first_seed: the first of them; the reported seeds are others.
        only: the arms that try it; all if ``None``. Another may keep its settings, or have a grid of its own.
    """

    settings: dict[str, list[Any]]
    seeds: int = 8
    first_seed: int = 100_000
    only: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """The first setting of each entry."""
        return [key.split(",")[0] for key in self.settings]

    @property
    def points(self) -> list[Settings]:
        """The grid's points, every setting by its own name."""
        return [
            {name.strip(): value for key, value in zip(self.settings, values, strict=True) for name in key.split(",")}
            for values in itertools.product(*self.settings.values())
        ]

    def tried_by(self, arm: str) -> bool:
        """Whether an arm tries it."""
        return self.only is None or arm in self.only

    def arms(self, arms: Mapping[str, Settings]) -> dict[str, Settings]:
        """An arm for each arm that tries it and each point, ``small 0``, ``small 1``, ..."""
        trying = {name: own for name, own in arms.items() if self.tried_by(name)}
        return {f"{name} {i}": own | point for name, own in trying.items() for i, point in enumerate(self.points)}


@dataclass(frozen=True)
class Choice:
    """What an arm's grid came to.

    Attributes:
        best: the point that was chosen.
        edges: settings whose best value is the first or last that was tried.
    """

    best: Settings
    edges: list[str]


def read(key: str, content: Any, arms: Mapping[str, Any]) -> list[Tuning]:
    """One grid or several, one after the other: ``{seeds: 8, settings: {model.optimizer.lr: [0.3, 1, 3]}}``.

    Args:
        key: where it stands.
        arms: by name, those that there are.

    Raises:
        SettingError: naming what is wrong.
    """
    grids = []
    for one in content if isinstance(content, list) else [content] if content else []:
        settings = one.get("settings") if isinstance(one, Mapping) else None
        if not isinstance(settings, Mapping) or not settings:
            raise SettingError(key, one, "a mapping with settings: {settings: {model.optimizer.lr: [0.3, 1, 3]}}")
        for name, values in settings.items():
            if not isinstance(values, list) or not values:
                raise SettingError(f"{key}.settings.{name}", values, "a list of values, in order")
        tuning = build(key, Tuning, one)
        for name in tuning.only or []:
            check_arm(f"{key}.only", name, arms)
        check_whole(f"{key}.seeds", tuning.seeds, 1)
        grids.append(tuning)
    return grids


def scores(rows: pd.DataFrame, metric: str, settings: Sequence[str]) -> pd.DataFrame:
    """The mean of ``metric`` over the run, the higher the better: a row each seed, a column each point of the grid.

    A seed that diverges counts as the worst of the whole grid.
    """
    points = dict(iter(rows.groupby(list(settings), sort=False)))
    found = outcome.scores(points, metric, statistics.is_better_above(metric))
    found.columns = pd.MultiIndex.from_tuples([*points], names=list(settings))
    return found


def choose(rows: pd.DataFrame, metric: str, tuning: Tuning) -> Choice:
    """The best point of an arm's grid."""
    means = scores(rows, metric, tuning.names).mean()
    every = tuning.points
    best = every[int(np.argmax([means[tuple(point[name] for name in tuning.names)] for point in every]))]
    tried = zip(tuning.names, tuning.settings.values(), strict=True)
    return Choice(best, [name for name, v in tried if len(v) > 1 and best[name] in (v[0], v[-1])])


def described(settings: Mapping[str, Any]) -> str:
    """``lr = 0.3, qk.lr = 1``."""
    from svl.results.arm_label import short_names

    return ", ".join(f"{n} = {setting(v)}" for n, v in zip(short_names(list(settings)), settings.values(), strict=True))
