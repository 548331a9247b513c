"""``svl theory``: the papers' theorems beside experiments, each a table, a figure and a file of numbers."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import track

from svl.errors import SettingError, nearest
from svl.results.atomic import replacing

NAMES = {
    "theorem_1": "Theorem 1: T_1, T_2 and their sum against N, N d and m, beside their bounds",
    "corollary_2": "Corollary 2: the same with random labels in phase 1, and side by side with true ones",
    "lemmas": "lemmas of appendix A: growth and sign of q, drift, spectral norm, contraction, chances of the events",
    "sampling_bias": "how large q = w^T M^ w is at initialisation: N^(-1/2) of a sample, 1/d of the population",
    "neuron_fit": "the neuron's own svl fit and the recursion, step by step on the same data",
    "reuse_rate": "E(K, N): how much fresh data K epochs over N examples are worth in linear regression",
    "no_gap": "no gap in steps in linear regression: fresh data against epochs, the population against full batches",
    "language_model": "E(K, N) of a small language model of bytes at two N",
}
"""Modules of this package with a function ``run``, and what each shows."""
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
        for name, about in NAMES.items():
            print(f"{name:15s} {about}")
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

    finding = importlib.import_module(f"svl.theory.{given.name}").run(given.size, _track)
    console = Console()
    for table in finding.tables:
        console.print(table)
        console.print()
    figure.save(finding.figure, folder / given.name)
    with replacing(folder / f"{given.name}.json") as file:
        file.write_text(json.dumps(finding.numbers, indent=2, allow_nan=False) + "\n")
    print(folder)
    return 0


def _track(items: Iterable[Any], description: str) -> Iterable[Any]:
    console = Console(stderr=True)
    return track(list(items), description, console=console, transient=True, disable=not console.is_terminal)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("theory", message, USAGE)
