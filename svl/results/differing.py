"""The settings in which several runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from svl.results.identity import FREE, differences


def differing(configs: Sequence[Any]) -> dict[str, list[Any]]:
    """By name, each run's value of every setting in which any two differ, apart from those that change no numbers.

    Args:
        configs: the resolved config of each run.
    """
    values: dict[str, list[Any]] = {}
    first, *others = configs
    for place, config in enumerate(others, start=1):
        for key, before, now in differences(first, config, (*FREE, "experiment")):
            values.setdefault(key, [before] * len(configs))[place] = now
    return values
