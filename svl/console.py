"""What a command prints: tables and lines for a terminal, a pipe or a log, in whatever encoding these have."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

_UNBOUNDED = 10_000
"""Columns of a pipe or a file, which folds nothing."""


def write_all_characters() -> None:
    """Have standard output and standard error replace the characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def console(to_errors: bool = False) -> Console:
    """The console of standard output, or of standard error.

    Text is printed as it is: square brackets and colons have no meaning of their own. Without a terminal no line is
    folded, so that programs can read the names in it. ``NO_COLOR`` is heeded.
    """
    stream = sys.stderr if to_errors else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(stderr=to_errors, markup=False, emoji=False, highlight=False, width=width)


def plain(cells: Iterable[str]) -> list[Text]:
    """The cells of a table as text that any console prints as it is."""
    return [Text(cell) for cell in cells]


def say(line: str) -> None:
    """Print one line on standard error, at once."""
    print(" ".join(line.split()), file=sys.stderr, flush=True)
