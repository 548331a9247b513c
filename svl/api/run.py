"""A run directory as an object."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from svl.api.replica import Examples, RunObjects
from svl.api.tables import arm_table, notebook_html
from svl.optim.from_run import replicas_of
from svl.results import figure, reported_run, weights
from svl.results.arms import varied
from svl.results.files import CHECKPOINT


class Run:
    """A fit that was begun: its settings, measurements and results, and its replicas as plain networks.

    A notebook shows a run as the table of its arms and its learning curves. Files are read when they are first asked
    for; :func:`load` again to see what a running fit has measured since.

    Args:
        path: the run directory.

    Attributes:
        path: the run directory.
        name: the experiment and the run's id, ``quickstart/20261129-124132-1f2e``.
        config: all settings, with their defaults, as a nested dict.
        history: a row for each measurement and replica, as in ``history.parquet``: ``step``, ``samples``, ``arm``,
            ``seed``, the settings that vary, and the metrics.
        summary: as in ``summary.json``; of the history so far while the fit is not finished.
        finished: whether the fit has written its results.

    Raises:
        SettingError: for a folder that is no run directory, or has no measurements.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # the working directory of a notebook can change
        read = reported_run.load(self.path)
        self.name, self.config, self.history = read.name, read.settings, read.history
        self.summary, self.finished = read.summary, read.finished

    @property
    def checkpoint(self) -> Path:
        """The file of the last checkpoint."""
        return self.path / CHECKPOINT

    @cached_property
    def arms(self) -> list[str]:
        """The arms' names, as in the history's column ``arm``."""
        return replicas_of(self.path).arm_names

    @property
    def seeds(self) -> list[int]:
        """The seeds of every arm."""
        replicas = replicas_of(self.path)
        return list(range(replicas.first_seed, replicas.first_seed + replicas.seeds))

    @property
    def steps(self) -> list[int]:
        """The steps after which weights are kept: the last checkpoint's, and those of the callback ``Snapshots``."""
        return weights.steps(self.path)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each arm: the settings that vary, the mean of each metric with its interval, the samples to target.

        Columns ``<metric>``, ``<metric>.low`` and ``<metric>.high`` have 95 % intervals over seeds.
        """
        return arm_table(self.summary, self.arms)

    def network(self, arm: str | None = None, seed: int | None = None, step: int | None = None) -> nn.Module:
        """One replica as a plain network in evaluation mode.

        Args:
            arm: the arm's name; can be left out where there is one arm.
            seed: the first seed if left out.
            step: the last checkpoint's if left out; see :attr:`steps`.

        Raises:
            SettingError: for an arm, a seed or a step that the run does not have.
        """
        return self._objects.network(arm, seed, step)

    def data(self, step: int, arm: str | None = None, seed: int | None = None) -> Examples:
        """The examples on which one replica was trained at a step, as training saw them.

        Args:
            step: number of the step, from 0.
            arm: the arm's name; can be left out where there is one arm.
            seed: the first seed if left out.

        Raises:
            SettingError: for a replica or a step that the run does not have, and for strategies that wait for an
                accuracy, whose examples depend on the training.
        """
        return self._objects.batch(arm, seed, step)

    def test_data(self, arm: str | None = None, seed: int | None = None) -> Examples:
        """The test set of one replica; see :meth:`data`."""
        return self._objects.tests(arm, seed)

    def plot(self, metric: str | None = None, **options: Any) -> Figure:
        """The learning curves of all arms, as in the run's ``figures``.

        Args:
            metric: a column of the history; the target's if left out.
            options: as of :func:`svl.results.figure.curves`.

        Raises:
            SettingError: for a metric that was not measured.
        """
        target = self.summary["target"] or {"metric": "val/loss", "value": None}
        chosen = metric or target["metric"]
        options = {"target": target["value"] if chosen == target["metric"] else None, **options}
        return figure.curves(self.history, varied(self.config["replicas"]), chosen, **options)

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        step = int(self.history["step"].max())
        return f"Run({str(self.path)!r}: {len(self.arms)} arms of {len(self.seeds)} seeds, step {step:,}, {state})"

    def _repr_html_(self) -> str:
        return notebook_html(html.escape(self.name), self.table, self.plot())

    @cached_property
    def _objects(self) -> RunObjects:
        return RunObjects(self.path, int(self.config["trainer"]["max_steps"]))


def load(path: str | Path) -> Run:
    """A run from its directory, also while the fit is running.

    Args:
        path: ``runs/<experiment>/<run id>``; an experiment's folder, ``runs/<experiment>``, stands for its latest run.

    Raises:
        SettingError: if there is no run with measurements.
    """
    return Run(reported_run.find(Path(path))[-1])
