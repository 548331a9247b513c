"""What a dashboard knows of an experiment: the arms and metrics of its newest local run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from numbers import Number
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.colors import to_hex

from svl.dashboard.figures import FIGURES, Figure
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.results import history
from svl.results.arm_label import arm_label
from svl.results.arm_means import SUCCESS
from svl.results.arms import metrics
from svl.results.columns import MOST_COLUMNS, columns_of, thinned
from svl.results.files import CONFIG
from svl.results.learning_curves import looks
from svl.tracking import Tracking

MOST_RUNS = 10
"""The most runs that W&B draws in a chart."""
MARKS = ("solid", "dashed", "dotdash", "dotted")

Arms = dict[str, dict[str, Any]]
"""Colour and line style of each arm by its name."""


@dataclass(frozen=True)
class Experiment:
    """An experiment as its newest local run describes it; without a local run, charts show every arm.

    Attributes:
        name: of the experiment, which is the group of its runs on W&B.
        runs: ids of its local runs, newest first.
        metrics: names of the measured metrics.
        columns: arms by the settings that are not compared, as in the run's own figure.
        tracking: project and team of the run on W&B.
    """

    name: str
    runs: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    columns: dict[str, Arms] = field(default_factory=lambda: {"": {}})
    tracking: Tracking = field(default_factory=Tracking)

    @classmethod
    def read(cls, name: str, runs: Path) -> Experiment:
        """Read an experiment from ``runs/<name>/``.

        Raises:
            SettingError: for a run that cannot be read.
        """
        directories = sorted((path.parent for path in (runs / name).glob(f"*/{CONFIG}")), reverse=True)
        for run in directories:
            try:
                settings = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
                replicas, target = Replicas(**settings["replicas"]), settings["target"]["metric"]
                tracking = Tracking(**settings["wandb"])
                rows = history.read(run)
            except FileNotFoundError:  # the run has no measurements yet
                continue
            except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
                reason = " ".join(str(error).split())
                raise SettingError("EXPERIMENT", str(run), f"runs whose files can be read ({reason})") from None
            others = [metric for metric in metrics(rows, list(replicas.vary)) if metric != target]
            run_ids = [directory.name for directory in directories[:MOST_RUNS]]
            return cls(name, run_ids, [target, SUCCESS, *others], _columns(replicas), tracking)
        return cls(name)

    def charts(self, figure: Figure) -> list[str]:
        """Patterns of the metrics to draw, one per chart; the layers and heads of a network share a chart."""
        if not self.metrics:
            return [figure.metrics]
        target = self.metrics[:2] if figure is FIGURES[0] else []
        fitting = (metric for metric in self.metrics if re.fullmatch(figure.metrics, metric))
        return list(dict.fromkeys(re.sub(r"\d+", r"\\d+", escape(metric)) for metric in (*target, *fitting)))


def _columns(replicas: Replicas) -> dict[str, Arms]:
    cells = [
        {"arm": name, **{key: value if isinstance(value, Number) else str(value) for key, value in settings.items()}}
        for name, settings in replicas.named_arms.items()
    ]
    all_columns = columns_of(pd.DataFrame(cells), list(replicas.vary))
    columns = {}
    for title, pairs in thinned(all_columns, MOST_COLUMNS).items():
        styles = zip(pairs, looks(pairs), strict=True)
        columns[title] = {
            arm_label(arm.settings): {"color": to_hex(look["color"]), "mark": MARKS[place % len(MARKS)]}
            for place, ((arm, _), look) in enumerate(styles)
        }
    return columns


def escape(name: str) -> str:
    """A pattern of a name for servers and browsers, some of which do not accept the escaped space of ``re.escape``."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", name)
