"""``svl report``: runs as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError

USAGE = "svl report RUN [RUN ...] [--output FILE]"


def main(words: Sequence[str]) -> int:
    """Write a report and print its path.

    Args:
        words: the command line after ``svl report``.

    Raises:
        SettingError: for a path that is neither a run directory nor a folder of them, or a file that cannot be written.
    """
    about = "Write runs as one HTML page: question, verdicts, curves, times to target, arms, settings."
    parser = Parser("report", USAGE, about)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run directory, or the folder of an experiment")
    default = "report.html in the run directory, or in the working directory for several runs"
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"default: {default}")
    given = parser.parse_args(words)
    # matplotlib and pandas take seconds to import.
    from svl.results.atomic import replacing
    from svl.results.report import REPORT, find, load, render

    folders = list(dict.fromkeys(folder for path in given.runs for folder in find(Path(path))))
    output = given.output or (folders[0] if len(folders) == 1 else Path()) / REPORT
    page = render([load(folder) for folder in folders])
    try:
        with replacing(output) as file:
            file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingError("--output", str(output), f"a file that can be written ({error.strerror})") from None
    print(output)
    return 0
