"""Trains a figure's fits, except those that are done already, and reads their histories."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from svl.cli.fit import resolve, run
from svl.reproduction import sequential
from svl.reproduction.fit import Fit, Settings
from svl.reproduction.outcome import Outcome
from svl.reproduction.paper_figure import PaperFigure, full_name
from svl.reproduction.tuning import Choice, choose
from svl.results import history
from svl.results.arms import varied, with_arms
from svl.results.files import CONFIG, SUMMARY, is_finished
from svl.results.identity import content_hash

EXPERIMENT = "reproduce/fits"
"""The experiment of all figures' fits; a fit is named by its content, so that figures share equal fits."""

Say = Callable[[str], None]


class Stopped(Exception):
    """A signal stopped a fit; the same command resumes it.

    Args:
        status: the fit's exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Done:
    """A finished fit.

    Attributes:
        name: what the fit is for.
        command: the command that trains it.
        run: its run directory.
        seconds: the duration of its training.
        git_commit: of the code that trained it; the version of an installed svl, which has no commit.
        machine: that trained it.
        routes: the computations that trained it.
        seeds: the first seed, and their number.
    """

    name: str
    command: str
    run: str
    seconds: float
    git_commit: str | None = None
    machine: str = ""
    routes: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)


@dataclass
class Trained:
    """All fits of a figure.

    Attributes:
        outcome: the histories on which claims are tested.
        choices: of each arm, one for each grid.
        fits: in the order of their training.
    """

    outcome: Outcome
    choices: dict[str, list[Choice]] = field(default_factory=dict)
    fits: list[Done] = field(default_factory=list)


def train(figure: PaperFigure, runs: str, say: Say, tracking: str = "disabled", groups: int = 1) -> Trained:
    """Tune every arm's rates, then train the arms with the chosen rates on the reported seeds.

    Args:
        groups: the number of groups of reported seeds, each as large as the figure's number of seeds.
        runs: the folder of all run directories.
        say: receives a line for each fit.
        tracking: W&B's mode.

    Raises:
        SettingError: for a setting that cannot be used.
        Stopped: if a signal stopped a fit.
    """
    metric, target = figure.target
    reported: dict[str, pd.DataFrame] = {}
    grids: dict[str, pd.DataFrame] = {}
    settings: dict[str, Settings] = {}
    choices: dict[str, list[Choice]] = {}
    done: list[Done] = []

    def histories(fit: Fit) -> dict[str, pd.DataFrame]:
        if figure.pretraining:
            first, _ = _train(figure.pretraining.fit(fit), runs, say, tracking)
            # Fits of the same seeds begin with the same weights, which are trained once.
            done.extend([first] * (first.run not in {earlier.run for earlier in done}))
            fit = figure.pretraining.followed_by(fit, Path(runs) / EXPERIMENT / Path(first.run).name)
        finished, rows = _train(fit, runs, say, tracking)
        done.append(finished)
        return rows

    for name in figure.fits:
        arms = {arm: dict(chosen) for arm, chosen in figure.arms.items()}
        names = {arm: full_name(name, arm) for arm in arms}
        for number, grid in figure.grids_of(name):
            rows = histories(figure.tuning_fit(name, number, arms))
            for arm, chosen in arms.items():
                if not grid.tried_by(arm):
                    continue
                parts = [rows[f"{arm} {place}"].assign(**point) for place, point in enumerate(grid.points)]
                grids[names[arm]] = pd.concat(parts)
                choice = choose(grids[names[arm]], metric, grid)
                choices.setdefault(names[arm], []).append(choice)
                chosen |= choice.best
        parts = [histories(figure.reported_fit(name, arms, group)) for group in range(groups)]
        for arm, chosen in arms.items():
            rows = pd.concat([part[arm] for part in parts]).sort_values(["step", "seed"], kind="stable")
            reported[names[arm]], settings[names[arm]] = rows.reset_index(drop=True), chosen
    level = sequential.level(figure.looks)
    return Trained(Outcome(metric, target, reported, grids, settings, level=level), choices, done)


def _train(fit: Fit, runs: str, say: Say, tracking: str) -> tuple[Done, dict[str, pd.DataFrame]]:
    """Train a fit unless it is done; the rows of its history by arm."""
    config = resolve(fit.words)
    path = Path(runs) / EXPERIMENT / content_hash(config)
    was_done = is_finished(path)
    if not was_done:
        say(fit.title)
        where = ("--experiment", EXPERIMENT, "--runs", runs, "--run_id", path.name, "--ckpt_path", "auto")
        # A fit prints its own results at its end; its progress goes to standard error.
        with contextlib.redirect_stdout(io.StringIO()):
            status = run([*fit.words, *where, "--wandb.mode", tracking])
        if status:
            raise Stopped(status)
    summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    say(f"{fit.title}: {summary['wall_seconds']:.0f} s{', done before' * was_done}, {path}")
    done = Done(
        fit.title,
        fit.command,
        run_folder(runs, EXPERIMENT, path.name),
        summary["wall_seconds"],
        made_by(summary),
        machine(summary),
        summary.get("routes") or {},
        [fit.first_seed, fit.seeds],
    )
    return done, fit.rows(_history(path))


def made_by(provenance: Mapping[str, Any]) -> str:
    """The commit of svl's checkout; that of the working directory for an older record; the version of an installed svl.

    Args:
        provenance: as from ``svl.results.provenance``, also as part of a summary.
    """
    commit = provenance.get("svl_commit") or provenance.get("git_commit")
    return commit or f"svl {provenance.get('versions', {}).get('svl', 'of an unknown version')}"


def machine(provenance: Mapping[str, Any]) -> str:
    """The kind of machine that made a result, in a line: ``x86_64, Linux, 2 cores``."""
    known = provenance.get("machine") or {}
    system, cores = str(known.get("system", "")).partition("-")[0], known.get("cores")
    return ", ".join(filter(None, (known.get("processor"), system, f"{cores} cores" if cores else "")))


def run_folder(runs: str, *parts: str) -> str:
    """A folder below that of all runs, as a record names it: without the place of ``runs`` on this machine."""
    return str(Path(Path(runs).name if Path(runs).is_absolute() else runs, *parts))


def _history(path: Path) -> pd.DataFrame:
    """A run's history with its arms' names, also where an older svl wrote it without them."""
    replicas = yaml.safe_load((path / CONFIG).read_text(encoding="utf-8"))["replicas"]
    return with_arms(history.read(path), varied(replicas), list(replicas["arms"] or ()))
