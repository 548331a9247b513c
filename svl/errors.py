"""The one exception that a user's setting can cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SettingError(ValueError):
    """A setting that cannot be used: which key, what was given, what is allowed.

    The command line prints it as one line and exits with status 2.

    Args:
        key: dotted name of the setting as in the config, e.g. ``data.size``.
        given: the offending value.
        allowed: what would have been accepted, in words.
    """

    def __init__(self, key: str, given: Any, allowed: str) -> None:
        self.key, self.given, self.allowed = key, given, allowed
        super().__init__(key, given, allowed)

    def __str__(self) -> str:
        return f"{self.key}: got {self.given!r}; allowed: {self.allowed}"


def check_whole(key: str, given: Any, low: int, high: int = 2**62, allowed: str = "") -> None:
    """Raise :class:`SettingError` unless ``given`` is a whole number from ``low`` to ``high``; a bool is none."""
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise SettingError(key, given, allowed or f"a whole number, at least {low}")


def in_full(error: SettingError, given: Iterable[str]) -> SettingError:
    """The error with the name under which a setting of an intervention was given, which its class does not know."""
    head, _, last = error.key.rpartition(".")
    names = {name.removeprefix("replicas.vary.") for name in given}
    fitting = [name for name in names if name.startswith(f"{head}.") and name.endswith(f".{last}")]
    if error.key in names or not head.endswith("interventions") or len(fitting) != 1:
        return error
    return SettingError(fitting[0], error.given, error.allowed)


def nearest(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the name in ``names`` closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
