"""The table of a figure's claims, effects and verdicts."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from svl.console import plain
from svl.reproduction.record import Record

_STYLES = {"reproduced": "green", "not reproduced": "red", "agrees": "green", "disagrees": "red", "undecided": "yellow"}


def table(record: Record) -> Table:
    """A figure's claims with their effects, and its verdict; for an undecided claim the seeds that would decide it."""
    shown = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left")
    shown.title = f"{record.name} ({record.scale}): {record.title}"
    for name in ("claim", "effect, interval", "verdict"):
        shown.add_column(name)
    for claim in record.claims:
        note = f" ({claim['note']})" if claim["note"] else ""
        cells = (claim["says"], f"{claim['effect']}: {estimate(claim)}{note}")
        needs = f": about {claim['needs']} seeds an arm would decide it" if claim.get("needs") else ""
        shown.add_row(*plain(cells), Text.assemble((claim["verdict"], _STYLES[claim["verdict"]]), needs))
    seeds = f"{record.reported} seeds per arm, " if record.arms else ""
    lines = [f"{record.found}: {seeds}{record.seconds:.0f} s"]
    lines += [f"exploratory, since {reason}" for reason in record.reasons]
    lines += [f"at the edge of its grid: {edge}" for edge in record.edges]
    shown.caption = "\n".join(lines)
    return shown


def estimate(claim: dict) -> str:
    """``3.1 [2.5, 4]``."""
    value, low, high = (_number(claim[key]) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _number(value: float | str | None) -> str:
    return "-" if value is None else "\N{INFINITY}" if value == "inf" else f"{float(value):.3g}"
