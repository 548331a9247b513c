"""Errors that a user's settings or disk can cause; the command line prints each as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class SettingError(ValueError):
    """A setting that cannot be used: its key, its value, and what is allowed.

    The command line prints it as one line and exits with status 2.

    Args:
        key: name of the setting. A class knows the names of its constructor's arguments, e.g. ``size``, but not where
            its object stands in a config: what contains the object adds that (:func:`within`), so that the command line
            prints ``data.size``. Empty for the object itself.
        given: the value.
        allowed: what would be accepted, in words.

    Attributes:
        origin: the call that raised the error, where the command line made it and its place has still to be found.
    """

    origin: object = None

    def __init__(self, key: str, given: Any, allowed: str) -> None:
        self.key, self.given, self.allowed = key, given, allowed
        super().__init__(key, given, allowed)

    def __str__(self) -> str:
        given = "null" if self.given is None else repr(self.given)
        return f"{self.key}{': ' if self.key else ''}got {given}; allowed: {self.allowed}"


@contextmanager
def within(place: str) -> Iterator[None]:
    """A context in which keys are relative to ``place``: the keys of :class:`SettingError` get it as their beginning.

    Args:
        place: dotted name under which an object stands in what contains it, e.g. ``interventions.noise``.
    """
    try:
        yield
    except SettingError as error:
        key = ".".join(part for part in (place, error.key) if part)
        raise SettingError(key, error.given, error.allowed) from error


class StorageError(RuntimeError):
    """A file that cannot be read or written while a fit runs; the command line prints it as one line, exit status 1.

    Args:
        path: the file, or the run directory.
        error: the system's error.
        advice: what is left, and how to resume.
    """

    def __init__(self, path: object, error: OSError, advice: str) -> None:
        reason = error.strerror or " ".join(str(error).split())
        # Of a copy or a move, the second file is the one that is written.
        file = error.filename2 or error.filename or path
        super().__init__(f"{file}: {reason}; {advice}")


def nearest(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the name in ``names`` closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
