"""Runs a figure's fits, those that are not done already, and reads what they came to."""

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

from svl.command import resolve, run
from svl.reproduction.outcome import Outcome
from svl.reproduction.paper_figure import PaperFigure, command, full_name
from svl.reproduction.tuning import Choice, Settings, choose
from svl.results import history
from svl.results.arms import with_arms
from svl.results.run import CONFIG, content_hash, is_finished
from svl.results.summary import SUMMARY

EXPERIMENT = "reproduce/fits"
"""Where all figures' fits are, named by their content: what one has trained, another reuses."""

Say = Callable[[str], None]


class Stopped(Exception):
    """A fit was stopped by a signal; the same command goes on with it.

    Args:
        status: that it ended with.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Done:
    """A fit that is done.

    Attributes:
        name: the figure's name of it, and what it is for.
        command: that a user types for it.
        run: its run directory.
        seconds: that its training took, when it was trained.
        git_commit: of the code that trained it, where that is known.
    """

    name: str
    command: str
    run: str
    seconds: float
    git_commit: str | None = None


@dataclass
class Trained:
    """All fits of a figure.

    Attributes:
        outcome: what claims are tested on.
        choices: of each arm, by the grids.
        fits: in order.
    """

    outcome: Outcome
    choices: dict[str, list[Choice]] = field(default_factory=dict)
    fits: list[Done] = field(default_factory=list)


def train(figure: PaperFigure, runs: str, say: Say, tracking: str = "disabled") -> Trained:
    """Tune every arm's rates, then train the arms with the chosen ones on the reported seeds.

    Args:
        runs: the folder of all run directories.
        say: is told a line for each fit.
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
    for fit in figure.fits:
        arms = {arm: dict(own) for arm, own in figure.arms.items()}
        names = {arm: full_name(fit, arm) for arm in arms}
        for number, grid in enumerate(figure.grids):
            tried = grid.arms(arms)
            title = f"{fit}{': ' * bool(fit)}rates{f' {number + 1}' * (len(figure.grids) > 1)}"
            words = figure.words(fit, _different(tried), grid.seeds, grid.first_seed)
            title += f" ({len(tried)} arms x {grid.seeds} seeds)"
            rows = _rows(_fit(words, title, runs, say, tracking, done), tried)
            for arm, own in arms.items():
                if not grid.tried_by(arm):
                    continue
                parts = [rows[f"{arm} {i}"].assign(**point) for i, point in enumerate(grid.points)]
                grids[names[arm]] = pd.concat(parts)
                choice = choose(grids[names[arm]], metric, grid)
                choices.setdefault(names[arm], []).append(choice)
                own |= choice.best
        words = figure.words(fit, _different(arms), figure.seeds, figure.first_seed)
        title = f"{fit or 'arms'} ({len(arms)} arms x {figure.seeds} seeds)"
        rows = _rows(_fit(words, title, runs, say, tracking, done), arms)
        for arm, own in arms.items():
            reported[names[arm]], settings[names[arm]] = rows[arm], own
    return Trained(Outcome(metric, target, reported, grids, settings), choices, done)


def _fit(words: list[str], name: str, runs: str, say: Say, tracking: str, done: list[Done]) -> Path:
    """The run directory of a fit, trained if it is not done."""
    path = Path(runs) / EXPERIMENT / content_hash(resolve(words))
    was_done = is_finished(path)
    if not was_done:
        say(name)
        where = ("--experiment", EXPERIMENT, "--runs", runs, "--run_id", path.name, "--ckpt_path", "auto")
        # What a fit prints at its end is about itself; its progress goes to standard error.
        with contextlib.redirect_stdout(io.StringIO()):
            status = run([*words, *where, "--wandb.mode", tracking])
        if status:
            raise Stopped(status)
    summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    say(f"{name}: {summary['wall_seconds']:.0f} s{', done before' * was_done}, {path}")
    done.append(Done(name, command(words), str(path), summary["wall_seconds"], summary.get("git_commit")))
    return path


def _different(arms: Mapping[str, Settings]) -> dict[str, Settings]:
    """Each of the arms' settings once: two arms whose rates have come out equal are trained as one."""
    kept: dict[str, Settings] = {}
    for name, own in arms.items():
        if own not in kept.values():
            kept[name] = own
    return kept


def _rows(path: Path, arms: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The history's rows of each arm; arms with equal settings have the rows of the first of them."""
    trained = yaml.safe_load((path / CONFIG).read_text(encoding="utf-8"))["replicas"]["arms"]
    rows = with_arms(history.read(path), list(next(iter(trained.values()))), list(trained))
    different = _different(arms)
    names = {name: next(other for other in different if different[other] == own) for name, own in arms.items()}
    return {name: rows[rows["arm"] == trained_as] for name, trained_as in names.items()}
