"""An experiment's fit in this process; its progress is shown on standard error."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path


def fit(config: str, folder: Path, *words: str) -> Path:
    """Run ``svl fit`` on a config.

    Args:
        config: such as ``configs/theory/two_phase.yaml``.
        folder: in which the run directory is made.
        words: more of the command line.

    Returns:
        the run directory.

    Raises:
        SystemExit: where the fit does not end well, with its status.
    """
    from svl.cli import main

    always = ("--wandb.mode", "disabled", "--model.compile", "never")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(["fit", "--config", config, "--runs", str(folder), *always, *words])
    if status:
        raise SystemExit(status)
    return Path(printed.getvalue().splitlines()[-1])
