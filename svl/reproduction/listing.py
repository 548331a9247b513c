"""The list of all figures, with their last verdicts."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from svl.config_file import ROOTS
from svl.console import plain
from svl.reproduction import paper_figure
from svl.reproduction.folders import GALLERY, RECORDS
from svl.reproduction.record import Record, place, read
from svl.reproduction.standing import CONFIRMING, EXPLORATORY


def listing(runs: Path) -> Table:
    """Every figure with its claim, the minutes that its scales take, and its last verdicts.

    Args:
        runs: the folder of all run directories.
    """
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for title in ("figure", "claim", "smoke", "laptop", "paper", "last verdict"):
        shown.add_column(title, no_wrap=title == "figure", overflow="fold")
    for name in paper_figure.known():
        figures = {scale: paper_figure.read(name, scale) for scale in paper_figure.SCALES}
        records = last(name, runs)
        measured = {record.scale: record.seconds / 60 for record in records}
        minutes = [_minutes(measured.get(scale, figure.minutes), scale) for scale, figure in figures.items()]
        verdicts = [
            f"{record.verdict} ({record.scale}, {record.kind}, {record.date})"
            for record in records
            if record.scale != "smoke"
        ]
        shown.add_row(*plain((name, figures["laptop"].says, *minutes, ", ".join(verdicts) or "-")))
    return shown


def last(name: str, runs: Path) -> list[Record]:
    """The newest record of each scale, of this machine or the gallery; a confirming one before an exploratory one."""
    newest = []
    for scale in paper_figure.SCALES:
        roots = (runs / RECORDS, GALLERY, *(root / GALLERY for root in ROOTS))
        for kind in (CONFIRMING, EXPLORATORY):
            records = [record for record in (read(root / place(name, scale, kind)) for root in roots) if record]
            if records:
                newest.append(max(records, key=lambda record: record.date))
                break
    return newest


def _minutes(minutes: float | None, scale: str) -> str:
    if minutes is None:
        return "seconds" if scale == "smoke" else "?"
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
