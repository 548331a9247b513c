"""The W&B views of an experiment: a workspace, and a report for each figure."""

from __future__ import annotations

import re
from typing import Any

from svl.dashboard.experiment import MOST_RUNS, Arms, Experiment, escape
from svl.dashboard.figures import FIGURES, Figure
from svl.results.arm_means import HIGH, LOW

WIDTH, HEIGHT = 24, 8
"""Width of W&B's grid of charts, and height of a chart, in its units."""
_LONGEST_TITLE = 128


def workspace(experiment: Experiment, entity: str, project: str) -> Any:
    """A workspace with a section for each figure, and one with the table of arms and the run's own figure."""
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
    """A report for each figure: a description, then its charts."""
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
                    # Without entity and project W&B takes the report's own and needs no network.
                    runsets=[wr.Runset(name=experiment.name, filters=_group(experiment))],
                    panels=panels(experiment, figure),
                ),
            ],
            width="fluid",
        )
        for figure in figures(experiment)
    ]


def _group(experiment: Experiment) -> Any:
    """A filter that selects the runs of the experiment."""
    from wandb_workspaces import expr

    return expr.And(expr.Metric("Group") == experiment.name)


def figures(experiment: Experiment) -> list[Figure]:
    """The figures for which a metric was measured."""
    return [figure for figure in FIGURES if experiment.charts(figure)]


def panels(experiment: Experiment, figure: Figure) -> list[Any]:
    """The charts of a figure: one row per pattern of metrics, one column per value of the settings not compared."""
    import wandb_workspaces.reports.v2 as wr

    charts, width = [], WIDTH // len(experiment.columns)
    for row, chart in enumerate(experiment.charts(figure)):
        for column, (setting, arms) in enumerate(experiment.columns.items()):
            names = "|".join(map(escape, arms)) or ".+"
            prefix = f"({LOW}/|{HIGH}/)?" if figure.intervals else ""
            shown = chart.replace(r"\d+", "*").replace("\\", "") if experiment.metrics else figure.title
            charts.append(
                wr.LinePlot(
                    title=", ".join(filter(None, (shown, setting))),
                    x="samples",
                    title_x="samples",
                    metric_regex=f"^{prefix}({chart})/({names})$",
                    layout=wr.Layout(x=column * width, y=row * HEIGHT, w=width, h=HEIGHT),
                    **_lines(experiment, chart, figure.intervals, arms),
                )
            )
    return charts


def _lines(experiment: Experiment, chart: str, intervals: bool, arms: Arms) -> dict[str, Any]:
    """Colours from yellow (small) to blue (large), a line style for each arm; bounds are thin dotted lines."""
    colors, marks, widths = {}, {}, {}
    for metric in (name for name in experiment.metrics if re.fullmatch(chart, name)):
        for prefix in ("", f"{LOW}/", f"{HIGH}/") if intervals else ("",):
            for run in experiment.runs:
                for name, look in arms.items():
                    line = f"{run}:{prefix}{metric}/{name}"
                    colors[line], marks[line] = look["color"], "dotted" if prefix else look["mark"]
                    widths[line] = 0.5 if prefix else 2.0
    return {"line_colors": colors, "line_marks": marks, "line_widths": widths}
