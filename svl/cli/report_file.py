"""The runs of a report, and the file it is written to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.results.report import REPORT, find


def every_run(paths: Sequence[Path]) -> list[Path]:
    """The measured run directories at several paths, each once.

    Raises:
        SettingError: if there is none at one of the paths.
    """
    return list(dict.fromkeys(folder for path in paths for folder in find(path)))


def default_output(folders: Sequence[Path]) -> Path:
    """Where the page is written by default: in the run directory, or in the innermost folder that all runs are in."""
    if len(folders) == 1:
        return folders[0] / REPORT
    parents = [folder.parent for folder in folders]
    if any(folder.is_absolute() for folder in parents) or any(".." in folder.parts for folder in parents):
        parents = [folder.resolve() for folder in parents]
    return Path(os.path.commonpath(parents)) / REPORT


def write(output: Path, page: str) -> None:
    """Write a page, completely or not at all.

    Raises:
        SettingError: if the file cannot be written.
    """
    try:
        with replacing(output) as file:
            file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingError("--output", str(output), f"a file that can be written ({error.strerror})") from None
