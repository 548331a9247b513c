"""Reproducing one figure: train, draw, test the claims, keep the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from svl.console import console
from svl.reproduction import experiment, recording, sequential
from svl.reproduction.drawing import draw
from svl.reproduction.fits import Trained, train
from svl.reproduction.folders import RECORDS
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.record import PICTURE, Record
from svl.reproduction.standing import Standing
from svl.reproduction.verdict import Tested
from svl.reproduction.verdict_table import table


def run(figure: PaperFigure, runs: str, tracking: str, words: Sequence[str], standing: Standing) -> tuple[Record, Path]:
    """Train the fits that are not done, test the claims, and print and write the result.

    Args:
        runs: the folder of all run directories.
        tracking: W&B's mode for the fits.
        words: the command line after the program's name.
        standing: whether the run confirms a frozen figure.

    Returns:
        the result and its folder.
    """
    shown: list[tuple[Trained, Figure]] = []

    def test(groups: int) -> list[Tested]:
        shown.append(_trained(figure, runs, tracking, groups))
        return [claim.test(shown[-1][0].outcome) for claim in figure.claims]

    looks = sequential.until_decided(test, figure.looks)
    for look in looks[:-1]:
        _say(f"{look.verdict} with {look.groups * figure.seeds} seeds an arm; as many more were added")
    trained, picture = shown[-1]
    made = recording.make(figure, trained, looks, words, standing)
    folder = recording.write(made, picture, Path(runs) / RECORDS)
    console().print(table(made), soft_wrap=True)
    print(f"figure: {folder / PICTURE}.png\n{folder}")
    return made, folder


def _trained(figure: PaperFigure, runs: str, tracking: str, groups: int) -> tuple[Trained, Figure]:
    """The figure's fits, or the numbers of its experiment, and its picture."""
    if figure.theory:
        began = time.monotonic()
        numbers, picture = experiment.run(figure)
        return experiment.work_out(figure, time.monotonic() - began, numbers, runs), picture
    trained = train(figure, runs, _say, tracking, groups)
    return trained, draw(trained.outcome, figure.panels)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
