"""``svl configs list``, ``show`` and ``copy``: the configs, sweeps and SLURM scripts that come with svl."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from svl import shipped
from svl.cli.parser import Parser
from svl.console import console
from svl.errors import SettingError, nearest
from svl.results.atomic import replacing

USAGE = {
    "list": "svl configs list [FOLDER]",
    "show": "svl configs show NAME",
    "copy": "svl configs copy NAME [TO] [--force]",
}
HELP = f"""usage: {USAGE["list"]}
       {USAGE["show"]}
       {USAGE["copy"]}

The configs, sweeps and SLURM scripts that come with svl, by name: quickstart, parity/online, sweeps/width,
slurm/array.sbatch. A command that takes a config takes a name too: svl fit --config parity/online.

  list   what there is, with a line on each; FOLDER is one of the headings, such as parity
  show   print a file
  copy   write a file, or all files of a folder, to change them: TO is a file or a folder, by default here
"""


def main(words: Sequence[str]) -> int:
    """List the shipped files, print one, or copy some; returns the exit status.

    Args:
        words: the command line after ``svl configs``.

    Raises:
        SettingError: for a name that does not exist, or a file that exists already or cannot be written.
    """
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    command, *rest = words
    if command not in USAGE:
        raise SettingError("configs", command, ", ".join(USAGE) + nearest(command, USAGE))
    parser = Parser(f"configs {command}", USAGE[command])
    if command == "list":
        parser.add_argument("folder", nargs="?", metavar="FOLDER")
        given = parser.parse_args(rest)
        _list(_within(given.folder, "FOLDER") if given.folder else list(shipped.shipped().values()))
        return 0
    parser.add_argument("name", metavar="NAME", help="as svl configs list shows it")
    if command == "copy":
        parser.add_argument("to", nargs="?", type=Path, metavar="TO", help="a file or a folder; default: here")
        parser.add_argument("--force", action="store_true", help="replace files that exist")
    given = parser.parse_args(rest)
    found = shipped.find(given.name)
    if command == "show":
        if found is None:
            raise _unknown(given.name, "NAME")
        sys.stdout.write(found.path.read_text(encoding="utf-8"))
        return 0
    files = [found] if found else _within(given.name, "NAME")
    for path in _copy(files, given.to, is_folder=found is None, is_forced=given.force):
        print(path)
    return 0


def _list(files: Sequence[shipped.Shipped]) -> None:
    """Print the files by folder; in a terminal each is one line, which is cut where it is too long."""
    width = console().width
    for group, members in groupby(files, lambda file: file.group):
        print(f"{group}/")
        for file in members:
            line = f"  {file.name:30s} {file.about}"
            print(line if len(line) <= width else f"{line[: width - 3]}...")


def _within(folder: str, key: str) -> list[shipped.Shipped]:
    files = shipped.within(folder.rstrip("/"))
    if not files:
        raise _unknown(folder, key)
    return files


def _unknown(name: str, key: str) -> SettingError:
    names = list(shipped.shipped())
    folders = dict.fromkeys(other.rpartition("/")[0] for other in names if "/" in other)
    return SettingError(key, name, f"a name that svl configs list shows{nearest(name, [*names, *folders])}")


def _copy(files: Sequence[shipped.Shipped], to: Path | None, is_folder: bool, is_forced: bool) -> list[Path]:
    """Copy files, all of which are new unless ``is_forced``; returns their paths."""
    base = to or Path(files[0].relative.parent if is_folder else ".")
    targets = [base / file.path.name for file in files] if is_folder or base.is_dir() else [base]
    existing = [path for path in targets if path.exists()]
    if existing and not is_forced:
        raise SettingError("TO", str(existing[0]), "a file that does not exist; --force replaces it")
    for file, target in zip(files, targets, strict=True):
        try:
            with replacing(target) as written:
                written.write_text(file.path.read_text(encoding="utf-8"), encoding="utf-8")
        except OSError as error:
            raise SettingError("TO", str(target), f"a file that can be written ({error.strerror})") from None
    return targets
