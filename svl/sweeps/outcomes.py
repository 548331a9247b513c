"""What the fits of a sweep have come to: a table with the sweep's metric, or with the times to the target."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from svl.console import plain
from svl.results.arm_label import short_names
from svl.results.files import SUMMARY
from svl.results.quantity import quantity, significant
from svl.sweeps.manifest import Manifest
from svl.sweeps.status import Standing, setting_names, shown_value
from svl.sweeps.study import values


def results(manifest: Manifest, standings: list[Standing]) -> Table:
    """A line for each fit that is done: its settings, the sweep's metric or its arms' times to the target, its run."""
    done = [standing for standing in standings if standing.state == "done" and standing.row.run]
    metric = manifest.sweep.metric[0] if manifest.sweep.metric else None
    shown = Table(box=None, padding=(0, 2, 0, 0))
    names = setting_names(done)
    for title in ("#", *short_names(names), metric or "samples to target, by arm", "run"):
        shown.add_column(Text(title), overflow="fold")
    for row in (standing.row for standing in done):
        run = Path(str(row.run))
        shown_values = [shown_value((row.settings or {}).get(name, "")) for name in names]
        outcome = significant(values(run)[metric]) if metric else _times(run)
        shown.add_row(*plain((str(row.number), *shown_values, outcome, run.name)))
    return shown


def _times(run: Path) -> str:
    arms = json.loads((run / SUMMARY).read_text(encoding="utf-8"))["arms"]
    medians = [arm["samples_to_target"] for arm in arms]
    return ", ".join(
        "never" if not median or median["median"] is None else quantity(median["median"]) for median in medians
    )
