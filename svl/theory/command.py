"""``svl theory``: the papers' theorems beside experiments, each a table, a figure and a file of numbers."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import Progress

from svl.errors import SettingError, nearest
from svl.results.atomic import replacing

NAMES = (
    "theorem_1",
    "corollary_2",
    "lemmas",
    "sampling_bias",
    "neuron_fit",
    "reuse_rate",
    "no_gap",
    "language_model",
)
"""Modules of this package with a ``run`` and a line ``ABOUT``."""
SIZES = ("smoke", "default")
USAGE = "svl theory [NAME] [--runs FOLDER] [--size {smoke,default}] [--list]"


def main(words: Sequence[str]) -> int:
    """Run one experiment: print its tables, write its figure and its numbers; or list the names.

    Args:
        words: the command line after ``svl theory``.

    Raises:
        SettingError: for words that cannot be used, or a folder that cannot be written.
    """
    parser = _Parser(prog="svl theory", usage=USAGE, allow_abbrev=False)
    parser.description = "Run a theorem's experiment: tables here, figure and numbers in FOLDER/theory/NAME."
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of those that --list shows")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    parser.add_argument("--size", default="default", metavar="SIZE", help="smoke: seconds; default: up to two minutes")
    parser.add_argument("--list", action="store_true", help="the names, and what each shows")
    given = parser.parse_args(words)
    if given.list or given.name is None:
        for name in NAMES:
            print(f"{name:15s} {_module(name).ABOUT}")
        return 0
    if given.name not in NAMES:
        raise SettingError("theory", given.name, ", ".join(NAMES) + nearest(given.name, NAMES))
    if given.size not in SIZES:
        raise SettingError("--size", given.size, " or ".join(SIZES))
    folder = given.runs / "theory" / given.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError("--runs", str(given.runs), f"a folder that can be written ({error.strerror})") from None
    from svl.results import figure

    with Progress(console=Console(stderr=True), transient=True) as progress:

        def track(items: Iterable[Any], description: str) -> Iterable[Any]:
            return progress.track(list(items), description=description)

        finding = _module(given.name).run(given.size, track)
    console = Console()
    for table in finding.tables:
        console.print(table)
        console.print()
    figure.save(finding.figure, folder / given.name)
    with replacing(folder / f"{given.name}.json") as file:
        file.write_text(json.dumps(finding.numbers, indent=2, allow_nan=False) + "\n")
    print(folder)
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(f"svl.theory.{name}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("theory", message, USAGE)
