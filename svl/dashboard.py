"""``svl dashboard``: a W&B workspace of an experiment, and a report for each of its figures."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Number
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pandas as pd
import yaml
from matplotlib.colors import to_hex

from svl.errors import SettingError
from svl.replicas import Replicas
from svl.results import history
from svl.results.arm_label import arm_label
from svl.results.arm_means import HIGH, LOW, SUCCESS
from svl.results.arms import metrics
from svl.results.columns import MOST_COLUMNS, columns_of, thinned
from svl.results.learning_curves import looks
from svl.results.run import CONFIG
from svl.tracking import Tracking

USAGE = "svl dashboard EXPERIMENT [--entity TEAM] [--project PROJECT] [--runs FOLDER] [--dry-run]"
# As many runs as W&B draws in a chart; its charts are 24 units wide.
MOST_RUNS, WIDTH, HEIGHT = 10, 24, 8
_LONGEST_TITLE = 128
MARKS = ("solid", "dashed", "dotdash", "dotted")


class Figure(NamedTuple):
    """What is drawn against samples: metrics by pattern, with or without their intervals, and what a reader sees."""

    title: str
    metrics: str
    intervals: bool
    about: str


FIGURES = (
    Figure(
        "Small against large",
        rf"val/accuracy|{SUCCESS}",
        True,
        "Test accuracy, and the share of seeds that have passed the target, against examples processed. Where the small"
        " set is ahead, repeating it is faster (Liu et al. 2026, figure 2).",
    ),
    Figure(
        "Norm ratio",
        r"norm_ratio",
        True,
        "Norm of the output layer over that of the input layer (Liu et al. 2026, figures 4 and 12).",
    ),
    Figure(
        "Gradient cosine similarity",
        r"gradient_cosine.*",
        False,
        "Mean pairwise cosine similarity of the gradients of distinct batches (Kotha et al. 2025, figure 8).",
    ),
    Figure(
        "QK statistics",
        r"qk/.+",
        False,
        "Attention logits and entropy, norms of W_Q and W_K, spectral norm of W_Q^T W_K, by layer and head.",
    ),
)

Arms = dict[str, dict[str, Any]]
"""Colour and line style of each arm by its name."""


@dataclass(frozen=True)
class Experiment:
    """What is known of an experiment from its newest local run; without one, charts take every arm.

    Attributes:
        name: of the experiment: the group of its runs on W&B.
        runs: ids of its local runs, newest first.
        metrics: names of what was measured.
        columns: arms by the settings that are not being compared, as in the run's own figure.
        tracking: where the run went on W&B.
    """

    name: str
    runs: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    columns: dict[str, Arms] = field(default_factory=lambda: {"": {}})
    tracking: Tracking = field(default_factory=Tracking)

    @classmethod
    def read(cls, name: str, runs: Path) -> Experiment:
        """From ``runs/<name>/``.

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
            except FileNotFoundError:  # nothing has been measured yet
                continue
            except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
                reason = " ".join(str(error).split())
                raise SettingError("EXPERIMENT", str(run), f"runs whose files can be read ({reason})") from None
            others = [metric for metric in metrics(rows, list(replicas.vary)) if metric != target]
            run_ids = [directory.name for directory in directories[:MOST_RUNS]]
            return cls(name, run_ids, [target, SUCCESS, *others], _columns(replicas), tracking)
        return cls(name)

    def charts(self, figure: Figure) -> list[str]:
        """Patterns of the metrics to draw: one a chart, which a network's layers and heads share."""
        if not self.metrics:
            return [figure.metrics]
        own = self.metrics[:2] if figure is FIGURES[0] else []
        fitting = (one for one in self.metrics if re.fullmatch(figure.metrics, one))
        return list(dict.fromkeys(re.sub(r"\d+", r"\\d+", _escape(one)) for one in (*own, *fitting)))


def _columns(replicas: Replicas) -> dict[str, Arms]:
    cells = [
        {"arm": name, **{key: value if isinstance(value, Number) else str(value) for key, value in settings.items()}}
        for name, settings in replicas.named_arms.items()
    ]
    every = columns_of(pd.DataFrame(cells), list(replicas.vary))
    columns = {}
    for title, pairs in thinned(every, MOST_COLUMNS).items():
        styles = zip(pairs, looks(pairs), strict=True)
        columns[title] = {
            arm_label(arm.settings): {"color": to_hex(look["color"]), "mark": MARKS[place % len(MARKS)]}
            for place, ((arm, _), look) in enumerate(styles)
        }
    return columns


def _escape(name: str) -> str:
    """For a pattern that servers and browsers read alike: not all know the escaped space of ``re.escape``."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", name)


def panels(experiment: Experiment, figure: Figure) -> list[Any]:
    """The charts of a figure: a row for each pattern of metrics, a column for each setting of what is not compared."""
    import wandb_workspaces.reports.v2 as wr

    found, width = [], WIDTH // len(experiment.columns)
    for row, chart in enumerate(experiment.charts(figure)):
        for column, (setting, arms) in enumerate(experiment.columns.items()):
            names = "|".join(map(_escape, arms)) or ".+"
            prefix = f"({LOW}/|{HIGH}/)?" if figure.intervals else ""
            shown = chart.replace(r"\d+", "*").replace("\\", "") if experiment.metrics else figure.title
            found.append(
                wr.LinePlot(
                    title=", ".join(filter(None, (shown, setting))),
                    x="samples",
                    title_x="samples",
                    metric_regex=f"^{prefix}({chart})/({names})$",
                    layout=wr.Layout(x=column * width, y=row * HEIGHT, w=width, h=HEIGHT),
                    **_lines(experiment, chart, figure.intervals, arms),
                )
            )
    return found


def _lines(experiment: Experiment, chart: str, intervals: bool, arms: Arms) -> dict[str, Any]:
    """Small is yellow and large is blue, and each arm has a line style of its own; bounds are thin dots."""
    colors, marks, widths = {}, {}, {}
    for metric in (one for one in experiment.metrics if re.fullmatch(chart, one)):
        for prefix in ("", f"{LOW}/", f"{HIGH}/") if intervals else ("",):
            for run in experiment.runs:
                for name, look in arms.items():
                    line = f"{run}:{prefix}{metric}/{name}"
                    colors[line], marks[line] = look["color"], "dotted" if prefix else look["mark"]
                    widths[line] = 0.5 if prefix else 2.0
    return {"line_colors": colors, "line_marks": marks, "line_widths": widths}


def figures(experiment: Experiment) -> list[Figure]:
    """Those of which something was measured."""
    return [figure for figure in FIGURES if experiment.charts(figure)]


def workspace(experiment: Experiment, entity: str, project: str) -> Any:
    """The experiment's runs, with a section for each figure, one for the table of arms and the run's own figure."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    axis = ws.SectionPanelSettings(x_axis="samples")
    layout = ws.SectionLayoutSettings(columns=len(experiment.columns), rows=2)
    sections = [
        ws.Section(
            name=figure.title,
            panels=panels(experiment, figure),
            is_open=True,
            layout_settings=layout,
            panel_settings=axis,
        )
        for figure in figures(experiment)
    ]
    overview: list[Any] = [wr.WeavePanelSummaryTable(table_name="arms"), wr.MediaBrowser(media_keys=["figures/curves"])]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=experiment.name,
        sections=[*sections, ws.Section(name="Arms", panels=overview, is_open=True)],
        settings=ws.WorkspaceSettings(x_axis="samples", max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(filters=_group(experiment)),
        auto_generate_panels=False,
    )


def reports(experiment: Experiment, entity: str, project: str) -> list[Any]:
    """A report for each figure: what it shows, then its charts."""
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.Report(
            entity=entity,
            project=project,
            title=f"{experiment.name}: {figure.title}"[:_LONGEST_TITLE],
            description=figure.about,
            blocks=[
                wr.H1(text=figure.title),
                wr.P(text=figure.about),
                wr.PanelGrid(
                    # Without entity and project: the report's own, and nothing to look up on the network.
                    runsets=[wr.Runset(name=experiment.name, filters=_group(experiment))],
                    panels=panels(experiment, figure),
                ),
            ],
            width="fluid",
        )
        for figure in figures(experiment)
    ]


def _group(experiment: Experiment) -> Any:
    """Keeps the runs of the experiment."""
    from wandb_workspaces import expr

    return expr.And(expr.Metric("Group") == experiment.name)


def save(experiment: Experiment, entity: str | None, project: str) -> list[str]:
    """Make the workspace and the reports on W&B.

    Returns:
        their addresses.

    Raises:
        SettingError: where nobody is logged in.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False):
        raise SettingError("dashboard", "nobody logged in to W&B", "`wandb login` first; --dry-run needs none")
    entity = entity or wandb.Api().default_entity or ""
    views = [workspace(experiment, entity, project), *reports(experiment, entity, project)]
    return [view.save().url for view in views]


def specification(experiment: Experiment, entity: str | None, project: str) -> str:
    """What :func:`save` would send, as YAML: ``workspace``, and ``reports`` as a list."""
    views = [workspace(experiment, entity or "", project), *reports(experiment, entity or "", project)]
    first, *others = (view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True) for view in views)
    return yaml.safe_dump({"workspace": first, "reports": others}, sort_keys=False, allow_unicode=True, width=120)


def main(words: Sequence[str]) -> int:
    """Make an experiment's dashboard and print its addresses, or print its specification.

    Args:
        words: the command line after ``svl dashboard``.

    Returns:
        0, or 1 where W&B could not be reached or refused.

    Raises:
        SettingError: for words or a run that cannot be used, and where nobody is logged in.
    """
    parser = _Parser(prog="svl dashboard", usage=USAGE, allow_abbrev=False)
    parser.description = (
        "Make a W&B workspace of an experiment, and a report for each figure; every call makes new ones."
    )
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="whose newest run in FOLDER says what there is to draw"
    )
    parser.add_argument("--entity", metavar="TEAM", help="default: the run's, else that of the one logged in")
    parser.add_argument("--project", help=f"default: the run's, else {Tracking.project}")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    parser.add_argument("--dry-run", action="store_true", help="print the specification; needs no network and no login")
    given = parser.parse_args(words)
    experiment = Experiment.read(given.experiment, given.runs)
    entity = given.entity or experiment.tracking.entity
    project = given.project or experiment.tracking.project
    if given.dry_run:
        print(specification(experiment, entity, project), end="")
        return 0
    try:
        print(*save(experiment, entity, project), sep="\n")
    except SettingError:
        raise
    except Exception as error:  # W&B's client, GraphQL's and the network's have no base in common
        print(f"svl: error: W&B: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("dashboard", message, USAGE)
