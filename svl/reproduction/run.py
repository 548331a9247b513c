"""Reproducing one figure: train, draw, test the claims, keep the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from svl.console import console
from svl.reproduction import experiment, record
from svl.reproduction.drawing import draw
from svl.reproduction.fits import train
from svl.reproduction.folders import RECORDS
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.record import PICTURE, Record
from svl.reproduction.verdict_table import table


def run(figure: PaperFigure, runs: str, tracking: str, words: Sequence[str]) -> tuple[Record, Path]:
    """Train the fits that are not done, test the claims, and print and write the result.

    Args:
        runs: the folder of all run directories.
        tracking: W&B's mode for the fits.
        words: the command line after the program's name.

    Returns:
        the result and its folder.
    """
    if figure.theory:
        began = time.monotonic()
        numbers, picture = experiment.run(figure)
        trained = experiment.work_out(figure, time.monotonic() - began, numbers, runs)
    else:
        trained = train(figure, runs, lambda line: print(line, file=sys.stderr, flush=True), tracking)
        picture = draw(trained.outcome, figure.panels)
    tested = [claim.test(trained.outcome) for claim in figure.claims]
    made = record.make(figure, trained, tested, words)
    folder = record.write(made, picture, Path(runs) / RECORDS)
    console().print(table(made), soft_wrap=True)
    print(f"figure: {folder / PICTURE}.png\n{folder}")
    return made, folder
