"""Runs the fit of an experiment in this process; its progress is shown on standard error."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path


def fit(config: str, folder: Path, *words: str) -> Path:
    """Run ``svl fit`` on a config.

    Args:
        config: path of the config, such as ``configs/theory/two_phase.yaml``.
        folder: folder in which the run directory is made.
        words: further command-line arguments.

    Returns:
        the run directory.

    Raises:
        SystemExit: if the fit fails, with its exit status.
    """
    from svl.cli import main

    always = ("--wandb.mode", "disabled", "--model.compile", "never")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(["fit", "--config", config, "--runs", str(folder), *always, *words])
    if status:
        raise SystemExit(status)
    return Path(printed.getvalue().splitlines()[-1])
