"""``svl theory``: compare a theorem of the papers with experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError, nearest
from svl.theory.catalogue import NAMES, SEEDED, SIZES, run

USAGE = "svl theory [NAME] [--runs FOLDER] [--size {smoke,default}] [--seed SEED] [--list]"


def main(words: Sequence[str]) -> int:
    """Run one experiment: print its tables, write its figure and its numbers; or list the names.

    Args:
        words: the command line after ``svl theory``.

    Raises:
        SettingError: for words that cannot be used, or a folder that cannot be written.
    """
    parser = Parser("theory", USAGE, "Run a theorem's experiment: print tables; write FOLDER/theory/NAME.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of the names that --list shows")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    parser.add_argument("--size", default="default", metavar="SIZE", help="smoke: seconds; default: up to two minutes")
    parser.add_argument("--seed", type=int, default=0, metavar="SEED", help="above 0: repeat it on new samples")
    parser.add_argument("--list", action="store_true", help="list the names, and what each shows")
    given = parser.parse_args(words)
    if given.list or given.name is None:
        for name, about in NAMES.items():
            print(f"{name:15s} {about}")
        return 0
    if given.name not in NAMES:
        raise SettingError("theory", given.name, ", ".join(NAMES) + nearest(given.name, NAMES))
    if given.size not in SIZES:
        raise SettingError("--size", given.size, " or ".join(SIZES))
    if given.seed < 0 or (given.seed and given.name not in SEEDED):
        raise SettingError("--seed", given.seed, f"0, or a number above 0 with {', '.join(SEEDED)}")
    folder = given.runs / "theory" / given.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError("--runs", str(given.runs), f"a folder that can be written ({error.strerror})") from None
    run(given.name, given.size, folder, given.seed)
    print(folder)
    return 0
