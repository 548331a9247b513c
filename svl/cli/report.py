"""``svl report``: runs as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser

USAGE = "svl report RUN [RUN ...] [--output FILE] [--watch]"


def main(words: Sequence[str]) -> int:
    """Write a report and print its path.

    Args:
        words: the command line after ``svl report``.

    Raises:
        SettingError: for a path that is neither a run directory nor a folder of them, or a file that cannot be written.
    """
    about = "Write runs as one HTML page: question, answer, curves, times to target, arms, settings."
    parser = Parser("report", USAGE, about)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run directory, or the folder of an experiment")
    default = "report.html in the run directory, or in the folder that all of several runs are in"
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"default: {default}")
    again = "write the page again whenever the fit has written measurements, until it ends; the page reloads itself"
    parser.add_argument("--watch", action="store_true", help=again)
    given = parser.parse_args(words)
    paths = [Path(path) for path in given.runs]
    # matplotlib and pandas take seconds to import.
    if given.watch:
        from svl.cli.report_watching import watch

        return watch(paths, given.output)
    from svl.cli.report_file import default_output, every_run, write
    from svl.results.report import load, render

    folders = every_run(paths)
    output = given.output or default_output(folders)
    write(output, render([load(folder) for folder in folders]))
    print(output)
    return 0
