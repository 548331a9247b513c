"""``svl reproduce``: train, draw and judge figures of the papers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError
from svl.reproduction.folders import GALLERY

USAGE = "svl reproduce [FIGURE ... | all] [--scale {smoke,laptop,paper}] [--list] [--dry-run] [--gallery]"


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
    parser.add_argument("--wandb", default="disabled", metavar="MODE", help="W&B's mode of the fits; default: disabled")
    parser.add_argument("--gallery", action="store_true", help="copy the results to the gallery and write its page")
    parser.add_argument("--gallery_folder", type=Path, default=GALLERY, metavar="FOLDER", help=f"default: {GALLERY}")
    given = parser.parse_args(words)
    if given.list:
        from svl.console import console
        from svl.reproduction.listing import listing

        console().print(listing(Path(given.runs)))
        return 0
    from svl.reproduction import gallery, paper_figure

    names = list(paper_figure.known()) if given.figures == ["all"] else given.figures
    figures = [paper_figure.read(name, given.scale) for name in names]
    if not figures and not given.gallery:
        raise SettingError("reproduce", "nothing", USAGE)
    if given.dry_run:
        for figure in figures:
            print(f"# {figure.name}: {figure.title}")
            print("\n".join(figure.commands()))
        return 0
    if given.gallery:
        gallery.check(given.gallery_folder)
    from svl.reproduction.fits import Stopped
    from svl.reproduction.run import run

    for figure in figures:
        try:
            record, folder = run(figure, given.runs, given.wandb, ["reproduce", *words])
        except (Stopped, KeyboardInterrupt) as stopped:
            print("svl: stopped; give the same command to resume", file=sys.stderr)
            return stopped.status if isinstance(stopped, Stopped) else 130
        if given.gallery:
            gallery.keep(record, folder, given.gallery_folder)
    if given.gallery:
        print(gallery.write(given.gallery_folder))
    return 0
