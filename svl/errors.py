"""Errors that a user's settings or disk can cause; the command line prints each as one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any


class SettingError(ValueError):
    """A setting that cannot be used: its key, its value, and what is allowed.

    The command line prints it as one line and exits with status 2.

    Args:
        key: dotted name of the setting as in the config, e.g. ``data.size``.
        given: the value.
        allowed: what would be accepted, in words.
    """

    def __init__(self, key: str, given: Any, allowed: str) -> None:
        self.key, self.given, self.allowed = key, given, allowed
        super().__init__(key, given, allowed)

    def __str__(self) -> str:
        return f"{self.key}: got {self.given!r}; allowed: {self.allowed}"


class StorageError(RuntimeError):
    """A file that cannot be read or written while a fit runs; the command line prints it as one line, exit status 1.

    Args:
        path: the file, or the run directory.
        error: the system's error.
        advice: what is left, and how to resume.
    """

    def __init__(self, path: object, error: OSError, advice: str) -> None:
        reason = error.strerror or " ".join(str(error).split())
        super().__init__(f"{error.filename or path}: {reason}; {advice}")


def in_full(error: SettingError, given: Mapping[str, Any]) -> SettingError:
    """The error with the full key of an intervention's setting: the intervention does not know its own name.

    Args:
        given: every setting that was given, by dotted name.
    """
    part, _, rest = error.key.partition(".")
    head, _, last = rest.rpartition(".")
    if error.key in given or head != "interventions":
        return error
    name = re.compile(rf"{part}\.(streams\.[^.]+\.)?interventions\.[^.]+\.{last}")
    fitting = [key for key, value in given.items() if name.fullmatch(key) and _is_same(value, error.given)]
    return SettingError(fitting[0], error.given, error.allowed) if len(fitting) == 1 else error


def _is_same(value: Any, other: Any) -> bool:
    """Whether two values of a setting are equal, where one of them may still be text."""
    try:
        return str(value) == str(other) or float(value) == float(other)
    except (TypeError, ValueError):
        return False


def nearest(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the name in ``names`` closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
