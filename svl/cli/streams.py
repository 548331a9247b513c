"""Standard output and standard error of a command: terminals with few characters, and readers that have gone."""

from __future__ import annotations

import io
import os
import sys


def replace_unknown_characters() -> None:
    """Have what a terminal's encoding lacks replaced, instead of an error after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output() -> None:
    """Print to nowhere from now on: the program that read the output, such as head, has ended."""
    # Python would fail once more at its own end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
