"""``svl reproduce``: the papers' figures from one command each, with verdicts."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from svl.errors import SettingError
from svl.reproduction.record import PICTURE, Record, read

if TYPE_CHECKING:
    from svl.reproduction.paper_figure import PaperFigure

USAGE = "svl reproduce [FIGURE ... | all] [--scale {smoke,laptop,paper}] [--list] [--dry-run] [--gallery]"
RECORDS = Path("reproduce")
GALLERY = Path("docs") / "gallery"
_STYLES = {"reproduced": "green", "not reproduced": "red", "undecided": "yellow"}


def main(words: Sequence[str]) -> int:
    """Run figures, or list them; returns 0 whatever the verdicts, 128 + the signal that stopped a fit.

    Args:
        words: the command line after ``svl reproduce``.

    Raises:
        SettingError: for words that cannot be used.
    """
    parser = _Parser(prog="svl reproduce", usage=USAGE, allow_abbrev=False)
    parser.description = "Run figures of the papers, draw them and judge their claims; fits that are done are reused."
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="such as liu2026/fig02a; all for every one")
    parser.add_argument("--scale", default="laptop", metavar="SCALE", help="smoke, laptop (default) or paper")
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="default: runs")
    parser.add_argument("--list", action="store_true", help="every figure, its claim, its scales and its last verdict")
    parser.add_argument("--dry-run", action="store_true", help="print the fits' commands, and run nothing")
    parser.add_argument("--wandb", default="disabled", metavar="MODE", help="of the fits; default: disabled")
    parser.add_argument("--gallery", action="store_true", help="keep results and write the page that shows them")
    parser.add_argument("--gallery_folder", type=Path, default=GALLERY, metavar="FOLDER", help=f"default: {GALLERY}")
    given = parser.parse_args(words)
    from svl.reproduction import gallery, paper_figure

    every = paper_figure.known()
    if given.list:
        Console().print(listing(Path(given.runs)))
        return 0
    names = list(every) if given.figures == ["all"] else given.figures
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

    for figure in figures:
        try:
            record, folder = run(figure, given.runs, given.wandb, ["reproduce", *words])
        except (Stopped, KeyboardInterrupt) as stopped:
            print("svl: stopped; the same command resumes it", file=sys.stderr)
            return stopped.status if isinstance(stopped, Stopped) else 130
        if given.gallery:
            gallery.keep(record, folder, given.gallery_folder)
    if given.gallery:
        print(gallery.write(given.gallery_folder))
    return 0


def run(figure: PaperFigure, runs: str, tracking: str, words: Sequence[str]) -> tuple[Record, Path]:
    """Train the missing fits, test the claims, print and store the result; returns it and its folder."""
    from svl.reproduction import experiment, record
    from svl.reproduction.drawing import draw
    from svl.reproduction.fits import train

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
    Console(highlight=False).print(table(made), soft_wrap=True)
    print(f"figure: {folder / PICTURE}.png\n{folder}")
    return made, folder


def table(record: Record) -> Table:
    """A figure's claims with their effects, and its verdict."""
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left")
    shown.title = escape(f"{record.name} ({record.scale}): {record.title}")
    for name in ("claim", "effect, 95 % interval", "verdict"):
        shown.add_column(name)
    for claim in record.claims:
        note = f" ({claim['note']})" if claim["note"] else ""
        cells = (claim["says"], f"{claim['effect']}: {estimate(claim)}{note}")
        style = _STYLES[claim["verdict"]]
        shown.add_row(*map(escape, cells), f"[{style}]{claim['verdict']}[/{style}]")
    seeds = f"{record.reported} seeds per arm, " if record.arms else ""
    lines = [f"{record.verdict}: {seeds}{record.seconds:.0f} s"]
    lines += [f"at the edge of its grid: {edge}" for edge in record.edges]
    shown.caption = escape("\n".join(lines))
    return shown


def estimate(claim: dict) -> str:
    """``3.1 [2.5, 4]``."""
    value, low, high = (_number(claim[key]) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def listing(runs: Path) -> Table:
    """Every figure with its claim, the duration of each scale, and its last verdicts."""
    from svl.reproduction import paper_figure

    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("figure", "claim", "smoke", "laptop", "paper", "last verdict"):
        shown.add_column(name, no_wrap=name == "figure")
    for name in paper_figure.known():
        figures = {scale: paper_figure.read(name, scale) for scale in paper_figure.SCALES}
        records = last(name, runs)
        took = {record.scale: record.seconds / 60 for record in records}
        minutes = [_minutes(took.get(scale, figure.minutes), scale) for scale, figure in figures.items()]
        judged = [record for record in records if record.scale != "smoke"]
        verdicts = ", ".join(f"{record.verdict} ({record.scale}, {record.date})" for record in judged)
        shown.add_row(*map(escape, (name, figures["laptop"].says, *minutes, verdicts or "-")))
    return shown


def last(name: str, runs: Path) -> list[Record]:
    """The newest record of each scale, from local runs or the gallery that is shipped with svl."""
    from svl.arguments import ROOTS
    from svl.reproduction.paper_figure import SCALES

    newest = []
    for scale in SCALES:
        roots = (runs / RECORDS, GALLERY, *(root / GALLERY for root in ROOTS))
        records = [record for record in (read(root / name / scale) for root in roots) if record]
        newest += [max(records, key=lambda record: record.date)] if records else []
    return newest


def _minutes(minutes: float | None, scale: str) -> str:
    if minutes is None:
        return "seconds" if scale == "smoke" else "?"
    return (
        f"{60 * minutes:.0f} s" if minutes < 1 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    )


def _number(value: float | str | None) -> str:
    return "-" if value is None else "\N{INFINITY}" if value == "inf" else f"{float(value):.3g}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("reproduce", message, USAGE)
