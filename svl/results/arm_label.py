"""Names of arms, made from the settings in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svl.results.quantity import setting


def arm_label(settings: Mapping[str, Any]) -> str:
    """An arm's settings under their short names: ``size=4096, lr=0.3``; ``all`` where nothing varies."""
    named = zip(short_names(list(settings)), settings.values(), strict=True)
    return ", ".join(f"{name}={setting(value)}" for name, value in named) or "all"


def short_names(names: Sequence[str]) -> list[str]:
    """The last component of each dotted name; more components where the names would otherwise be equal."""
    parts = [name.split(".") for name in names]
    for length in range(1, max(map(len, parts), default=1) + 1):
        short = [".".join(part[-length:]) for part in parts]
        if len(set(short)) == len(short):
            return short
    return list(names)
