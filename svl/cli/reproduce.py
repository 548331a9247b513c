"""``svl reproduce``: train, draw and judge figures of the papers."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svl.cli.parser import Parser
from svl.errors import SettingError
from svl.reproduction.folders import GALLERY

if TYPE_CHECKING:
    from svl.reproduction.paper_figure import PaperFigure

USAGE = (
    "svl reproduce [FIGURE ... | all] [--scale {smoke,laptop,paper}] [--list] [--dry-run] [--explain] [--gallery] "
    "[--freeze] [--confirm] [--until-decided]"
)


def main(words: Sequence[str]) -> int:
    """Run figures, or list them; returns 0 whatever the verdicts, 128 + the signal that stopped a fit.

    Args:
        words: the command line after ``svl reproduce``.

    Raises:
        SettingError: for words that cannot be used.
    """
    about = "Train the fits of figures, draw the figures and test their claims. Fits that are done are not repeated."
    parser = Parser("reproduce", USAGE, about)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="such as liu2026/fig02a; all for every figure")
    parser.add_argument("--scale", default="laptop", metavar="SCALE", help="smoke, laptop (default) or paper")
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="default: runs")
    parser.add_argument("--list", action="store_true", help="list the figures with claims, scales and last verdicts")
    parser.add_argument("--dry-run", action="store_true", help="print the fits' commands, and run nothing")
    parser.add_argument("--explain", action="store_true", help="estimate the fits' times here, and run nothing")
    parser.add_argument("--wandb", default="disabled", metavar="MODE", help="W&B's mode of the fits; default: disabled")
    parser.add_argument("--gallery", action="store_true", help="copy the results to the gallery and write its page")
    parser.add_argument("--gallery_folder", type=Path, default=GALLERY, metavar="FOLDER", help=f"default: {GALLERY}")
    parser.add_argument("--freeze", action="store_true", help="write claims.lock for a confirming run; commit it first")
    parser.add_argument("--confirm", action="store_true", help="run what is frozen, on seeds that no run has used")
    parser.add_argument("--until-decided", action="store_true", help="add seeds until the claims are decided, 4 looks")
    given = parser.parse_args(words)
    if given.list:
        from svl.console import console
        from svl.reproduction.listing import listing

        shown = console()
        shown.print(listing(Path(given.runs), shown.width))
        return 0
    from svl.reproduction import gallery, lock, paper_figure
    from svl.reproduction.catalogue import known
    from svl.reproduction.record import EXPLORATORY
    from svl.reproduction.standing import Standing, standing

    names = list(known()) if given.figures == ["all"] else given.figures
    figures = [paper_figure.read(name, given.scale) for name in names]
    if not figures and not given.gallery:
        raise SettingError("reproduce", "nothing", USAGE)
    if given.freeze or given.confirm or given.until_decided:
        figures = _planned(figures, given)
    if given.freeze:
        for figure in figures:
            print(lock.write(figure, given.gallery_folder))
        print("commit these files alone, then run the same command with --confirm instead of --freeze", file=sys.stderr)
        return 0
    if given.dry_run:
        for figure in figures:
            print(f"# {figure.name}: {figure.title}")
            print("\n".join(figure.commands()))
        return 0
    if given.explain:
        from svl.console import console
        from svl.reproduction.expected import expected

        for figure in figures:
            console().print(expected(figure, lambda line: print(f"measuring {line}", file=sys.stderr)))
        return 0
    if given.gallery:
        gallery.check(given.gallery_folder)
    from svl.reproduction.fits import Stopped
    from svl.reproduction.run import run

    for figure in figures:
        try:
            confirms = given.confirm and standing(figure, given.gallery_folder, Path(given.runs))
            kind = confirms or Standing(EXPLORATORY)
            record, folder = run(figure, given.runs, given.wandb, _words(figure, given), kind)
        except (Stopped, KeyboardInterrupt) as stopped:
            print("svl: stopped; give the same command to resume", file=sys.stderr)
            return stopped.status if isinstance(stopped, Stopped) else 130
        if given.gallery:
            gallery.keep(record, folder, given.gallery_folder)
    if given.gallery:
        print(gallery.write(given.gallery_folder))
    return 0


def _planned(figures: Sequence[PaperFigure], given: argparse.Namespace) -> list[PaperFigure]:
    """The figures on the seeds of confirming runs, or with several looks at the data.

    Raises:
        SettingError: for options that do not go together.
    """
    from svl.reproduction import lock
    from svl.reproduction.sequential import LOOKS
    from svl.reproduction.standing import frozen_figure, seen

    if given.scale == "smoke":
        raise SettingError("--scale", given.scale, "laptop or paper: at smoke scale nothing is judged")
    if given.freeze and given.confirm:
        raise SettingError("--confirm", "with --freeze", "one of them: a freeze is committed before its run")
    if given.confirm:
        if given.until_decided:
            raise SettingError("--until-decided", "with --confirm", "--freeze --until-decided, which freezes the looks")
        return [frozen_figure(figure, given.gallery_folder) for figure in figures]
    looks = [LOOKS if given.until_decided and not figure.theory else 1 for figure in figures]
    if given.freeze:
        used = [seen(figure, given.gallery_folder, Path(given.runs)) for figure in figures]
        return [lock.confirming(*planned) for planned in zip(figures, looks, used, strict=True)]
    return [dataclasses.replace(figure, looks=planned) for figure, planned in zip(figures, looks, strict=True)]


def _words(figure: PaperFigure, given: argparse.Namespace) -> list[str]:
    """The command that repeats the run of one figure."""
    options = ["--confirm"] * given.confirm + ["--until-decided"] * given.until_decided
    return ["reproduce", figure.name, "--scale", figure.scale, *options]
