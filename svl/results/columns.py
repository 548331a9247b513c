"""The columns of a figure: arms that share the settings which are not being compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from svl.results.arm_label import short_names
from svl.results.arms import Arm, arms, compared_setting, references
from svl.results.quantity import setting

MOST_COLUMNS = 4
"""With more columns than these a panel is too narrow."""

Pair = tuple[Arm, Arm]
"""An arm and its reference."""


def columns_of(
    history: pd.DataFrame, vary: Sequence[str], reference: Mapping[str, Any] | None = None
) -> dict[str, list[Pair]]:
    """The columns by title, which gives the settings that their arms share; the arms of one reference are one column.

    Raises:
        SettingError: if no arm is the ``reference``.
    """
    all_arms = arms(history, vary)
    by_reference: dict[int, list[Pair]] = {}
    for arm, compared in zip(all_arms, references(all_arms, reference), strict=True):
        by_reference.setdefault(id(compared), []).append((arm, compared))
    columns: dict[str, list[Pair]] = {}
    for pairs in by_reference.values():
        settings = [arm.settings for arm, _ in pairs]
        short = zip(short_names(list(vary)), vary, strict=True)
        shared = [(name, key) for name, key in short if all(other[key] == settings[0][key] for other in settings)]
        title = ", ".join(
            f"{name} = {setting(settings[0][key])}" for name, key in shared if key != compared_setting(vary)
        )
        columns.setdefault(title, []).extend(pairs)
    return columns


def thinned(columns: Mapping[str, list[Pair]], most: int) -> dict[str, list[Pair]]:
    """At most ``most`` of the columns, evenly spaced from the first to the last."""
    places = np.linspace(0, len(columns) - 1, min(len(columns), most)).round().astype(int)
    return {title: columns[title] for title in (list(columns)[place] for place in places)}


def comparisons(columns: Mapping[str, Sequence[Pair]]) -> int:
    """The number of arms that are compared with another as their reference."""
    return sum(arm is not reference for pairs in columns.values() for arm, reference in pairs)


def arm_names(pairs: Sequence[Pair]) -> list[str]:
    """Names that distinguish the arms of a column: their own, or the values of the settings in which they differ."""
    if all(arm.name for arm, _ in pairs):
        return [arm.label for arm, _ in pairs]
    settings = [arm.settings for arm, _ in pairs]
    compared = compared_setting(list(settings[0]))
    keys = [key for key in settings[0] if key == compared or any(other[key] != settings[0][key] for other in settings)]
    names = [", ".join(setting(values[key]) for key in keys) for values in settings]
    return [name or arm.label for name, (arm, _) in zip(names, pairs, strict=True)]
