"""Trains arms by ordinary fits, one for each strategy; fits that are done are not repeated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from svl.advising.problem import Problem
from svl.advising.progress import Progress
from svl.advising.race import Arm
from svl.advising.trial import Trial, trials
from svl.cli.fit import resolve, run
from svl.reproduction.fit import Fit
from svl.reproduction.fits import Stopped
from svl.results import history
from svl.results.atomic import replacing
from svl.results.files import is_finished
from svl.results.identity import content_hash

EXPERIMENT = "advise/fits"
"""The experiment of all fits; a fit is named by its content, so that the same question finds its fits done."""


class Fits:
    """The fits of one problem.

    Args:
        problem: what is asked.
        folder: of its own files, where the configs of the fits are written.
        runs: the folder of all run directories.
        progress: is told of every fit.

    Attributes:
        commands: of the fits so far.
    """

    def __init__(self, problem: Problem, folder: Path, runs: str, progress: Progress) -> None:
        self.problem, self.folder, self.runs, self.progress = problem, folder, runs, progress
        self.commands: list[str] = []

    def histories(self, arms: Sequence[Arm], seeds: int, first_seed: int) -> dict[str, pd.DataFrame]:
        """The histories of arms on the same seeds, by the arms' names.

        Raises:
            SettingError: for a setting that cannot be used.
            Stopped: if a signal stopped a fit.
        """
        rows: dict[str, pd.DataFrame] = {}
        for fit in self._fits(arms, seeds, first_seed):
            rows |= fit.rows(self._trained(fit))
        return rows

    def trials(self, histories: Mapping[str, pd.DataFrame]) -> dict[str, Trial]:
        """What the race and the confirmation know of histories."""
        return trials(dict(histories), self.problem.metric, self.problem.target)

    def _fits(self, arms: Sequence[Arm], seeds: int, first_seed: int) -> Iterable[Fit]:
        for strategy in dict.fromkeys(arm.candidate.strategy for arm in arms):
            own = [arm for arm in arms if arm.candidate.strategy == strategy]
            config = write_config(self.problem, own[0], self.folder / f"{strategy.lower()}.yaml")
            settings = {arm.name: self.problem.arm(arm.candidate, arm.factor) for arm in own}
            yield Fit(f"{strategy} ({len(own)} arms x {seeds} seeds)", str(config), {}, settings, seeds, first_seed)

    def _trained(self, fit: Fit) -> pd.DataFrame:
        path = Path(self.runs) / EXPERIMENT / content_hash(resolve(fit.words))
        self.commands.append(fit.command)
        with self.progress.fit(len(fit.trained_arms) * fit.seeds) as watch:
            if not is_finished(path):
                where = ("--experiment", EXPERIMENT, "--runs", self.runs, "--run_id", path.name, "--ckpt_path", "auto")
                # A fit prints its own results at its end; here only those of the whole question are of interest.
                with contextlib.redirect_stdout(io.StringIO()):
                    status = run([*fit.words, *where], [watch])
                if status:
                    raise Stopped(status)
        return history.read(path)


def write_config(problem: Problem, arm: Arm, path: Path) -> Path:
    """Write the config that the fits of an arm's strategy share."""
    settings = problem.settings(arm.candidate.strategy, arm.candidate.fixed)
    with replacing(path) as file:
        file.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
