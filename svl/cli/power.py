"""``svl power``: how many seeds the arms of a run would need for a verdict."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError

USAGE = "svl power RUN [--gain RATIO ...] [--chance P]"


def main(words: Sequence[str]) -> int:
    """Print for each arm the number of seeds that would decide its speed-up, and speed-ups of other sizes.

    Args:
        words: the command line after ``svl power``.

    Raises:
        SettingError: for a path that is no run, a run without two arms or without a target, or with too few seeds.
    """
    about = (
        "How many seeds each arm would need to be called faster or slower than its reference, by simulating experiments"
        " with the times to the target that the run has measured."
    )
    parser = Parser("power", USAGE, about)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument(
        "--gain", type=_gain, nargs="+", default=[1.2, 1.5, 2.0], metavar="RATIO", help="speed-ups; default: 1.2 1.5 2"
    )
    parser.add_argument(
        "--chance", type=_chance, default=0.8, metavar="P", help="the probability of a verdict; default: 0.8"
    )
    given = parser.parse_args(words)
    from svl.console import console
    from svl.results.power_table import table
    from svl.results.reported_run import find, load

    paths = find(given.run)
    if len(paths) > 1:
        raise SettingError("RUN", str(given.run), f"one run, for example {paths[-1]}")
    console().print(table(load(paths[0]), given.gain, given.chance))
    return 0


def _gain(word: str) -> float:
    gain = float(word)
    if not 0 < gain < 100 or gain == 1:
        raise argparse.ArgumentTypeError(f"{word} is not a speed-up: a number above 0 and below 100, other than 1")
    return gain


def _chance(word: str) -> float:
    chance = float(word)
    if not 0.05 < chance < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a probability above 0.05 and below 1")
    return chance
