"""A user's own code that failed: its traceback, without the frames of the libraries that stand around it."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import svl
from svl.errors import SettingError, StorageError

_PACKAGE = Path(svl.__file__).resolve().parent
_LIBRARIES = (
    _PACKAGE,
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")),
)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, its cause, the cause's cause, ..., each once."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def own_traceback(error: BaseException) -> str | None:
    """The traceback of the user's own code that an error comes from, ``None`` if there is no such code.

    It shows the user's frames and, where one of them called a library, the frame that raised the error.
    """
    failed = _failed(error)
    if failed is None:
        return None
    frames = traceback.extract_tb(failed.__traceback__)
    kept = [frame for frame in frames if _is_own(frame.filename)]
    if kept and kept[-1] is not frames[-1]:
        kept.append(frames[-1])
    heading = ["Traceback (most recent call last):\n"] if kept else []
    return "".join([*heading, *traceback.format_list(kept), *traceback.format_exception_only(failed)])


def place_of(error: BaseException) -> str:
    """Where the user's own code failed, and why, in one line: ``mine.py, line 3, in __init__: ValueError: no``."""
    failed = _failed(error) or error
    reason = f"{type(failed).__name__}: {' '.join(str(failed).split())}".removesuffix(": ")
    if isinstance(failed, SyntaxError) and failed.filename:
        return f"{Path(failed.filename).name}, line {failed.lineno}: {type(failed).__name__}: {failed.msg}"
    own = [frame for frame in traceback.extract_tb(failed.__traceback__) if _is_own(frame.filename)]
    if not own:
        return reason
    function = "" if own[-1].name.startswith("<") else f", in {own[-1].name}"
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}{function}: {reason}"


def _failed(error: BaseException) -> BaseException | None:
    """The exception that the user's own code raised or let pass."""
    for cause in causes(error):
        if isinstance(cause, SettingError | StorageError):
            continue
        if isinstance(cause, SyntaxError) and cause.filename and _is_own(cause.filename):
            return cause
        if any(_is_own(frame.filename) for frame in traceback.extract_tb(cause.__traceback__)):
            return cause
    return None


def _is_own(filename: str) -> bool:
    # Code that was compiled from a text, or into a library, such as that of dataclasses, has no file.
    path = Path(filename)
    return path.exists() and not any(path.is_relative_to(folder) for folder in _LIBRARIES)
