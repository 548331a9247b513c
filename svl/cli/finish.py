"""``svl finish``: write the results of a run whose training is done once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError

USAGE = "svl finish RUN"


def main(words: Sequence[str]) -> int:
    """Write history, summary and figure of a run directory from its checkpoint and its measurements.

    For a fit whose training was done when something after it failed: a full disk, a figure. Nothing is trained.

    Args:
        words: the command line after ``svl finish``.

    Raises:
        SettingError: for anything else than a run that has reached its last step.
    """
    parser = Parser("finish", USAGE, "Write the results of a run once more, whose training is done.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    run = parser.parse_args(words).run
    from svl.results.run_directory import CHECKPOINT, CONFIG, steps_done

    step, last = steps_done(run)
    config, checkpoint = run / CONFIG, run / CHECKPOINT
    if step < last:
        resume = f"svl fit --config {config} --ckpt_path {checkpoint}"
        raise SettingError(
            "RUN", str(run), f"a run that has reached its last step; this one is at {step} of {last}: {resume}"
        )
    from svl.cli.fit import run as run_command

    return run_command(["fit", "--config", str(config), "--ckpt_path", str(checkpoint)])
