"""Formats numbers for tables and axes."""

from __future__ import annotations

import math


def quantity(count: float) -> str:
    """A count to three significant digits: ``900``, ``16.4k``, ``1.23M``, ``2G``; infinity is ``∞``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,950 is rounded to 1M, not to 1000k.
        if 0.9995 * size <= abs(count) < math.inf:
            return f"{significant(count / size)}{unit}"
    return significant(count)


def significant(number: float) -> str:
    """A number to three significant digits without trailing zeros or exponent, at most three decimals."""
    if math.isinf(number):
        return "∞"
    decimals = 3 if number == 0 else min(3, max(0, 2 - math.floor(math.log10(abs(number)))))
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(count: int, noun: str) -> str:
    """A number of things: ``1 fit``, ``2,304 fits``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def setting(value: object) -> str:
    """A setting's value as in a config: ``4096``, ``0.3``, ``[16, online]``; whole floats lose their ``.0``."""
    if isinstance(value, list):
        return f"[{', '.join(map(setting, value))}]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def ratio(value: float, low: float | None = None, high: float | None = None, bound: str = "=") -> str:
    """A speed-up with its interval: ``3.1× [2.5, 4]``, ``≥3.1× [2.5, ∞]`` where only a bound is known.

    A bound of 0 says nothing, and is ``unknown``.
    """
    if bound == ">=" and not value:
        return "unknown"
    relation = {"=": "", ">=": "≥", "<=": "≤"}[bound]
    interval = "" if low is None or high is None or math.isnan(low) else f" [{significant(low)}, {significant(high)}]"
    return f"{relation}{significant(value)}\N{MULTIPLICATION SIGN}{interval}"
