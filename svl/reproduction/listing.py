"""The list of all figures, with their last verdicts. Only configs and stored results are read, so that it is quick."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from svl.config_file import ROOTS
from svl.console import plain
from svl.reproduction.catalogue import entry, known
from svl.reproduction.folders import GALLERY, RECORDS
from svl.reproduction.record import CONFIRMING, EXPLORATORY, Record, place, read
from svl.reproduction.scale import SCALES

_WIDE = 140
"""Columns of a terminal from which on a figure is one row; in a narrower one its claim has the whole width."""


def listing(runs: Path, width: int) -> Table:
    """Every figure with its claim, the minutes that its scales take, and its last verdicts.

    Args:
        runs: the folder of all run directories.
        width: columns of the terminal.
    """
    is_wide = width >= _WIDE
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    titles = ("claim", *SCALES, "last verdict") if is_wide else ("claim; time at each scale; last verdict",)
    shown.add_column("figure", no_wrap=True)
    for title in titles:
        shown.add_column(title, overflow="fold", no_wrap=title in SCALES)
    for name, path in known().items():
        figure, records = entry(name, path), last(name, runs)
        measured = {record.scale: record.seconds / 60 for record in records}
        minutes = [_minutes(measured.get(scale, expected), scale) for scale, expected in figure.minutes.items()]
        judged = [record for record in records if record.scale != "smoke"]
        verdicts = "\n".join(f"{record.verdict} ({record.scale}, {record.kind}, {record.date})" for record in judged)
        if is_wide:
            shown.add_row(*plain((name, figure.says, *minutes, verdicts or "-")))
        else:
            times = ", ".join(f"{scale} {minute}" for scale, minute in zip(SCALES, minutes, strict=True))
            shown.add_row(*plain((name, "\n".join(filter(None, (figure.says, times, verdicts))) + "\n")))
    return shown


def last(name: str, runs: Path) -> list[Record]:
    """The newest record of each scale, of this machine or the gallery; a confirming one before an exploratory one."""
    newest = []
    for scale in SCALES:
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
