"""The state of each fit of a sweep, read from the run directories, the sweep's study and SLURM's queue."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from svl import cluster
from svl.console import plain
from svl.results.arm_label import short_names
from svl.results.files import CONFIG
from svl.results.lock import is_held
from svl.results.quantity import number, setting
from svl.sweeps.manifest import Manifest, Row, drawn, failure, is_done

JOBS = "jobs.jsonl"
State = Literal["done", "running", "queued", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "missing")


@dataclass(frozen=True)
class Standing:
    """A fit and its state.

    Attributes:
        row: the fit, with its settings where these are known.
        state: ``queued`` means in SLURM's queue; ``missing`` means that it has not begun, or was stopped.
        note: why it failed, or that it has begun.
    """

    row: Row
    state: State
    note: str = ""


def standings(manifest: Manifest) -> list[Standing]:
    """The state of every fit of the sweep."""
    waiting, known = _queued(manifest), _trials(manifest)
    return [_standing(manifest, row, waiting.get(_name(manifest, row)), known.get(row.number)) for row in manifest.rows]


def record(manifest: Manifest, jobs: list[tuple[str, int]]) -> None:
    """Write down the array jobs that were submitted for the sweep."""
    with (manifest.folder / JOBS).open("a", encoding="utf-8") as file:
        for job, offset in jobs:
            file.write(json.dumps({"job": job, "offset": offset, "manifest": manifest.path.name}) + "\n")


def counted(standings: list[Standing]) -> str:
    """``12 fits: 5 done, 2 running, 5 missing``."""
    counts = Counter(standing.state for standing in standings)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return f"{number(len(standings), 'fit')}: {', '.join(parts)}"


def table(standings: list[Standing]) -> Table:
    """A line for each fit: its settings, its state, its run, and why it failed."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    names = setting_names(standings)
    for name in ("#", *short_names(names), "state", "run", ""):
        shown.add_column(Text(name), overflow="fold")
    for standing in standings:
        row = standing.row
        values = [shown_value((row.settings or {}).get(name, "")) for name in names]
        run = Path(row.run).name if row.run else ""
        shown.add_row(*plain((str(row.number), *values, standing.state, run, standing.note)))
    return shown


def shown_value(value: Any) -> str:
    """A setting's value as in a sweep file."""
    return "null" if value is None else setting(value)


def setting_names(standings: list[Standing]) -> list[str]:
    """The settings that differ between fits."""
    return list(next((standing.row.settings for standing in standings if standing.row.settings), {}))


def _trials(manifest: Manifest) -> dict[int, Any]:
    """The trials of an adaptive sweep's study, by row."""
    if not manifest.sweep.is_adaptive or not manifest.folder.is_dir():
        return {}
    from svl.sweeps.study import open_study, trials  # Optuna takes a second to import

    return trials(open_study(manifest))


def _standing(manifest: Manifest, row: Row, queue: str | None, trial: Any) -> Standing:
    failed = failure(manifest, row)
    if trial and row.settings is None:
        row = Row(row.number, drawn(manifest.sweep, trial.params), trial.user_attrs.get("run"))
    run = Path(row.run) if row.run else None
    if trial and trial.state.name == "PRUNED":
        return Standing(row, "done", "ended early")
    if run and is_done(row):
        return Standing(row, "done")
    if queue == "RUNNING" or (run and is_held(run)):
        return Standing(row, "running")
    if queue:
        return Standing(row, "queued")
    if failed is not None:
        return Standing(row, "failed", failed.splitlines()[-1])
    return Standing(row, "missing", "has begun" if run and (run / CONFIG).exists() else "")


def _queued(manifest: Manifest) -> dict[str, str]:
    """SLURM's state of each fit in its queue, including fits submitted before the sweep file was edited."""
    path = manifest.folder / JOBS
    if not path.exists():
        return {}
    jobs = {job["job"]: job for job in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    states = cluster.queued(list(jobs))
    manifests = {name: Manifest.read(manifest.folder / name) for name in {jobs[job]["manifest"] for job, _ in states}}
    queue = {}
    for (job, task), state in states.items():
        submitted = manifests[jobs[job]["manifest"]]
        queue[_name(submitted, submitted.rows[task + jobs[job]["offset"]])] = state
    return queue


def _name(manifest: Manifest, row: Row) -> str:
    """The identity of a fit: its run directory, or its place in a search."""
    return row.run or f"{manifest.path.name}:{row.number}"
