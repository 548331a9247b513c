"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from svl.api.run import Run, load
from svl.api.tables import notebook_html
from svl.errors import SettingError
from svl.results import figure
from svl.results.arms import varied, with_arms
from svl.results.differing import differing

RUN, _LABEL = "run", "run and arm"


class Comparison:
    """The arms of several runs in one table and one figure.

    Args:
        runs: two or more.

    Attributes:
        runs: as given.
        settings: a row for each run, with the settings in which they differ, apart from those that change no numbers.
        history: of all runs; the columns ``run`` and ``arm`` name the run and the arm.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.settings = pd.DataFrame(differing([run.config for run in self.runs]), index=range(len(self.runs)))
        parts = [_named(run, name) for run, name in zip(self.runs, self.names, strict=True)]
        self.history = pd.concat(parts, ignore_index=True)

    @property
    def names(self) -> list[str]:
        """A name for each run: its id, with its experiment where ids are equal."""
        ids = [run.path.name for run in self.runs]
        return ids if len(set(ids)) == len(ids) else [run.name for run in self.runs]

    @property
    def table(self) -> pd.DataFrame:
        """The tables of arms of all runs, with a column ``run`` and the settings in which the runs differ."""
        tables = []
        for run, name, (_, settings) in zip(self.runs, self.names, self.settings.iterrows(), strict=True):
            table = run.table
            new = {key: [settings[key]] * len(table) for key in self.settings if key not in table}
            tables.append(pd.concat([pd.DataFrame({RUN: [name] * len(table), **new}), table], axis=1))
        return pd.concat(tables, ignore_index=True)

    def plot(self, metric: str | None = None, **options: Any) -> Figure:
        """The learning curves of all arms of all runs.

        Args:
            metric: a column of every run's history; the first run's target if left out.
            options: as of :func:`svl.results.figure.curves`.

        Raises:
            SettingError: for a metric that some run has not measured.
        """
        target = self.runs[0].summary["target"] or {"metric": "val/loss", "value": None}
        chosen = metric or target["metric"]
        for run in self.runs:
            if chosen not in run.history:
                raise SettingError("metric", chosen, f"a column of every run's history; {run.name} has none")
        labels = self.history[RUN] + ": " + self.history["arm"]
        rows = self.history.assign(**{_LABEL: labels, "arm": labels})
        return figure.curves(rows, [_LABEL], chosen, **{"target": None, **options})

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.names)})"

    def _repr_html_(self) -> str:
        return notebook_html(" and ".join(self.names), self.table, self.plot())


def compare(runs: Sequence[Run | str | Path]) -> Comparison:
    """Lay several runs over each other.

    Args:
        runs: two or more runs, or their directories.

    Raises:
        SettingError: for fewer than two, or a directory that is no run.
    """
    if len(runs) < 2:
        raise SettingError("runs", len(runs), "two runs or more")
    return Comparison([run if isinstance(run, Run) else load(run) for run in runs])


def _named(run: Run, name: str) -> pd.DataFrame:
    """A run's history with the columns ``run`` and ``arm``."""
    vary = varied(run.config["replicas"])
    return with_arms(run.history, vary, run.arms).assign(**{RUN: name})
