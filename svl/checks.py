"""Checks of single settings: each returns the value, or raises a :class:`~svl.errors.SettingError`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from svl.errors import SettingError, nearest


def check_whole(key: str, value: Any, low: int, high: int = 2**62, allowed: str = "") -> None:
    """Raise :class:`SettingError` unless ``value`` is an integer from ``low`` to ``high``; a bool is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(key, value, allowed or f"a whole number, at least {low}")


def check_number(key: str, value: Any, low: float, high: float, open_high: bool = False) -> float:
    """``value`` as a float in [low, high], or in [low, high) if ``open_high``.

    Raises:
        SettingError: for anything else, also NaN and booleans.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (open_high and value == high):
        bound = "" if high == math.inf else f" and {'below' if open_high else 'at most'} {high:g}"
        raise SettingError(key, value, f"a number, at least {low:g}{bound}")
    return float(value)


def check_choice(key: str, value: Any, choices: Iterable[str]) -> None:
    """Raise :class:`SettingError` unless ``value`` is one of the ``choices``, which the error lists."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        close = nearest(value, choices) if isinstance(value, str) else ""
        raise SettingError(key, value, ", ".join(choices) + close)


def check_flag(key: str, value: Any) -> None:
    """Raise :class:`SettingError` unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise SettingError(key, value, "true or false")
