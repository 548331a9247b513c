"""The arms of a history, and the reference with which each arm is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from svl.errors import SettingError
from svl.results.quantity import setting

LARGE = ("online", "population")


@dataclass(frozen=True)
class Arm:
    """The replicas that share all varied settings and differ by seed.

    Args:
        settings: value of each varied setting.
        rows: the arm's part of the history.
        name: its own name, if it has one.
    """

    settings: dict[str, Any]
    rows: pd.DataFrame = field(repr=False, compare=False)
    name: str | None = None

    @property
    def label(self) -> str:
        """Its name, or its settings as on the command line: ``data.size=4096, model.optimizer.lr=0.3``."""
        if self.name:
            return self.name
        return ", ".join(f"{key}={setting(value)}" for key, value in self.settings.items()) or "all"


def arms(history: pd.DataFrame, vary: Sequence[str]) -> list[Arm]:
    """The history's arms in the order in which they were varied.

    Rows are grouped by the column ``arm``; a history without it, from an older svl, by its varied settings.

    Args:
        vary: names of all varied settings.

    Raises:
        SettingError: if the history has no column of one of the names in ``vary``.
    """
    for key in vary:
        if key not in history:
            raise SettingError("replicas.vary", key, f"a column of the history: {', '.join(map(str, history))}")
    if not vary:
        return [Arm({}, history)]
    groups = history.groupby("arm" if _has_arms(history) else list(vary), sort=False, dropna=False)
    return [Arm({key: _plain(rows[key].iloc[0]) for key in vary}, rows) for _, rows in groups]


def with_arms(history: pd.DataFrame, vary: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """The history with its column ``arm``, which is filled in where an older svl wrote the history without it.

    Args:
        vary: names of all varied settings.
        names: of the arms, in the order in which they were varied.
    """
    if _has_arms(history):
        return history
    if not vary:
        return history.assign(arm=names[0])
    places = history.groupby(list(vary), sort=False, dropna=False).ngroup()
    return history.assign(arm=[names[place] for place in places])


def _has_arms(history: pd.DataFrame) -> bool:
    """Whether every row names its arm; not all do where a newer svl has resumed the fit of an older one."""
    return "arm" in history and bool(history["arm"].notna().all())


def varied(replicas: Mapping[str, Any]) -> list[str]:
    """Names of the varied settings.

    Args:
        replicas: that section of a run's config.
    """
    arms = replicas.get("arms")
    return list(next(iter(arms.values())) if arms else replicas.get("vary") or {})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def metrics(history: pd.DataFrame, vary: Sequence[str]) -> list[str]:
    """Names of the history's metrics: all numeric columns except the counters, the settings and ``diverged``."""
    known = {"step", "samples", "seed", "diverged", *vary}
    return [name for name in history.select_dtypes("number") if name not in known]


def compared_setting(vary: Sequence[str]) -> str | None:
    """The setting that separates small from large: the first named ``size``, else the first, else None."""
    return next((key for key in vary if key.split(".")[-1] == "size"), vary[0] if vary else None)


def large(arms: Sequence[Arm]) -> dict[str, Any]:
    """The settings of a reference arm: ``{"data.size": "online"}`` or ``"population"``, else the last varied value."""
    key = compared_setting(list(arms[0].settings))
    if key is None:
        return {}
    values = [arm.settings[key] for arm in arms]
    return {key: next((value for value in values if value in LARGE), values[-1])}


def references(arms: Sequence[Arm], reference: Mapping[str, Any] | None = None) -> list[Arm]:
    """For each arm its reference: the arm with equal settings, except those that ``reference`` fixes.

    If the arms are not a product, there may be no such arm; the reference is then the only arm with the settings of
    ``reference``.

    Args:
        reference: settings of the reference arms, ``large(arms)`` by default; settings not named are the arm's own.

    Raises:
        SettingError: if an arm has no reference; where ``reference`` is left out, it is compared with itself.
    """
    fixed = large(arms) if reference is None else reference
    chosen = []
    for arm in arms:
        wanted = {**arm.settings, **fixed}
        candidates = [other for other in arms if fixed.items() <= other.settings.items()]
        match = next((other for other in candidates if other.settings == wanted), None)
        match = match or (candidates[0] if len(candidates) == 1 else None)
        if match is None and reference is not None:
            raise SettingError(
                "reference", dict(fixed), f"settings of an arm: {'; '.join(other.label for other in arms)}"
            )
        chosen.append(match or arm)
    return chosen
