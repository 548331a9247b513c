"""``svl report --watch``: a page that follows a fit until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from svl.cli.report_file import default_output, every_run, write
from svl.errors import SettingError
from svl.results import history, lock
from svl.results.report import load, render, without_reloading
from svl.results.reported_run import is_measured, runs_at
from svl.results.summary import SUMMARY

INTERVAL = 2.0
"""Seconds between two looks at the run directories, and the least between two pages."""
SHARE = 4
"""Seconds of rest for each second of a processor that a page has taken, so that the fit keeps its processors."""
RELOAD = 5
"""Seconds after which the page reloads itself in the browser."""


def watch(paths: Sequence[Path], output: Path | None = None) -> int:
    """Write the page of some runs whenever they have new measurements, until no fit writes to any of them.

    The page reloads itself while it is watched. Its path is printed once. An interrupt ends the watching quietly.

    Args:
        paths: run directories, or folders of them.
        output: of the page; by default as without watching.

    Raises:
        SettingError: for a path that is neither a run directory nor a folder of them, or a file that cannot be written.
    """
    page, written = "", None
    try:
        if not _wait_for_measurements(paths):
            return 0
        before: object = None
        while True:
            # In this order, so that the page of a fit that ends now is written once more.
            running = [run for path in paths for run in runs_at(path) if lock.is_held(run)]
            folders = [run for path in paths for run in runs_at(path) if is_measured(run)] or every_run(paths)
            now = (_state(folders), bool(running))
            began = time.process_time()
            if now != before:
                try:
                    page = render([load(folder) for folder in folders], RELOAD if running else None)
                except SettingError:
                    if not running:
                        raise
                    time.sleep(INTERVAL)  # a fit that is resumed moves its files
                    continue
                target = output or written or default_output(folders)
                write(target, page)
                if written is None:
                    print(target, flush=True)
                before, written = now, target
            if not running:
                _say_what_stopped(folders)
                return 0
            _rest(SHARE * (time.process_time() - began), running)
    except KeyboardInterrupt:
        if written:
            write(written, without_reloading(page))
        return 0


def _wait_for_measurements(paths: Sequence[Path]) -> bool:
    """Wait while there is none but a fit runs; whether there is something to show."""
    told = False
    while True:
        runs = [run for path in paths for run in runs_at(path)]
        if any(map(is_measured, runs)) or not any(map(lock.is_held, runs)):
            return True
        if not told:
            print("waiting for the first measurements, which a fit writes with its first checkpoint", file=sys.stderr)
            told = True
        time.sleep(INTERVAL)


def _rest(seconds: float, running: Sequence[Path]) -> None:
    """Rest for some seconds, or until one of the fits ends."""
    end = time.monotonic() + seconds
    time.sleep(INTERVAL)
    while time.monotonic() < end and all(map(lock.is_held, running)):
        time.sleep(INTERVAL)


def _state(folders: Sequence[Path]) -> list[tuple[str, int, int]]:
    """What changes when a run has new measurements or results."""
    files = [
        file
        for folder in folders
        for file in (folder / SUMMARY, folder / history.TABLE, *(folder / history.PARTS).glob("*.parquet"))
    ]
    state = []
    for file in sorted(files):
        try:
            found = file.stat()
        except FileNotFoundError:
            continue
        state.append((str(file), found.st_mtime_ns, found.st_size))
    return state


def _say_what_stopped(folders: Sequence[Path]) -> None:
    for folder in folders:
        run = load(folder)
        if not run.finished:
            print(f"no fit is writing to {folder}: it stopped after step {run.step:,}", file=sys.stderr)
