"""How far the fits of a sweep are: read off their run directories, the sweep's study and SLURM's queue."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from svl import cluster
from svl.results.arm_label import short_names
from svl.results.quantity import quantity, setting, significant
from svl.results.run import CONFIG, is_held
from svl.results.summary import SUMMARY
from svl.sweeps.manifest import Manifest, Row, drawn
from svl.sweeps.study import open_study, trials
from svl.sweeps.study import values as _values
from svl.sweeps.task import failure, is_done

JOBS = "jobs.jsonl"
State = Literal["done", "running", "queued", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "missing")


@dataclass(frozen=True)
class Standing:
    """A fit and how far it is.

    Attributes:
        row: the fit, with the settings that it has been given.
        state: ``queued`` is in SLURM's queue; ``missing`` has not begun, or stopped and can go on.
        note: why it failed, or that it has begun.
    """

    row: Row
    state: State
    note: str = ""


def standings(manifest: Manifest) -> list[Standing]:
    """Every fit of the sweep."""
    waiting, found = _queued(manifest), _trials(manifest)
    return [_standing(manifest, row, waiting.get(_name(manifest, row)), found.get(row.number)) for row in manifest.rows]


def record(manifest: Manifest, jobs: list[tuple[str, int]]) -> None:
    """Remember array jobs that were submitted for the sweep."""
    with (manifest.folder / JOBS).open("a", encoding="utf-8") as file:
        for job, offset in jobs:
            file.write(json.dumps({"job": job, "offset": offset, "manifest": manifest.path.name}) + "\n")


def counted(found: list[Standing]) -> str:
    """``12 fits: 5 done, 2 running, 5 missing``."""
    counts = Counter(one.state for one in found)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return f"{len(found)} fits: {', '.join(parts)}"


def table(found: list[Standing]) -> Table:
    """A line for each fit."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    names = list(next((one.row.settings for one in found if one.row.settings), {}))
    for name in ("#", *short_names(names), "state", "run", ""):
        shown.add_column(name, overflow="fold")
    for one in found:
        values = [setting((one.row.settings or {}).get(name, "")) for name in names]
        run = Path(one.row.run).name if one.row.run else ""
        shown.add_row(str(one.row.number), *values, one.state, run, one.note)
    return shown


def results(manifest: Manifest, found: list[Standing]) -> Table:
    """A line for each fit that is done: its settings, the sweep's metric or its arms' times to the target, its run."""
    done = [one for one in found if one.state == "done" and one.row.run]
    name = manifest.sweep.metric[0] if manifest.sweep.metric else None
    shown = Table(box=None, padding=(0, 2, 0, 0))
    names = list(next((one.row.settings for one in done if one.row.settings), {}))
    for title in ("#", *short_names(names), name or "samples to target, by arm", "run"):
        shown.add_column(title, overflow="fold")
    for one in done:
        given, run = one.row.settings or {}, Path(str(one.row.run))
        found_there = significant(_values(run)[name]) if name else _times(run)
        shown.add_row(str(one.row.number), *(setting(given.get(key, "")) for key in names), found_there, run.name)
    return shown


def _times(run: Path) -> str:
    arms = json.loads((run / SUMMARY).read_text(encoding="utf-8"))["arms"]
    medians = [arm["samples_to_target"] for arm in arms]
    return ", ".join("never" if not one or one["median"] is None else quantity(one["median"]) for one in medians)


def _trials(manifest: Manifest) -> dict[int, Any]:
    """What an adaptive sweep's study knows of its rows."""
    if not manifest.sweep.is_adaptive or not manifest.folder.is_dir():
        return {}
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
    """SLURM's state of every fit in its queue, also of those that were submitted before the sweep file was edited."""
    path = manifest.folder / JOBS
    if not path.exists():
        return {}
    jobs = {job["job"]: job for job in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    states = cluster.queued(list(jobs))
    manifests = {name: Manifest.read(manifest.folder / name) for name in {jobs[job]["manifest"] for job, _ in states}}
    found = {}
    for (job, task), state in states.items():
        submitted = manifests[jobs[job]["manifest"]]
        found[_name(submitted, submitted.rows[task + jobs[job]["offset"]])] = state
    return found


def _name(manifest: Manifest, row: Row) -> str:
    """What tells a fit from others: its run directory, or its place in a search."""
    return row.run or f"{manifest.path.name}:{row.number}"
