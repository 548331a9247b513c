"""The command ``svl dashboard``: makes the views on W&B, or prints their specification."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from svl.dashboard.experiment import Experiment
from svl.dashboard.views import reports, workspace
from svl.errors import SettingError
from svl.tracking import Tracking

USAGE = "svl dashboard EXPERIMENT [--entity TEAM] [--project PROJECT] [--runs FOLDER] [--dry-run]"


def save(experiment: Experiment, entity: str | None, project: str) -> list[str]:
    """Make the workspace and the reports on W&B.

    Returns:
        the addresses of the views.

    Raises:
        SettingError: if no user is logged in.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False):
        raise SettingError("dashboard", "no W&B login", "after `wandb login`; --dry-run needs no login")
    entity = entity or wandb.Api().default_entity or ""
    views = [workspace(experiment, entity, project), *reports(experiment, entity, project)]
    return [view.save().url for view in views]


def specification(experiment: Experiment, entity: str | None, project: str) -> str:
    """The views that :func:`save` sends, as YAML: ``workspace``, and ``reports`` as a list."""
    views = [workspace(experiment, entity or "", project), *reports(experiment, entity or "", project)]
    first, *others = (view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True) for view in views)
    return yaml.safe_dump({"workspace": first, "reports": others}, sort_keys=False, allow_unicode=True, width=120)


def main(words: Sequence[str]) -> int:
    """Make an experiment's dashboard and print its addresses, or print its specification.

    Args:
        words: the command line after ``svl dashboard``.

    Returns:
        0, or 1 if W&B could not be reached or refused.

    Raises:
        SettingError: for invalid words or runs, and if no user is logged in.
    """
    parser = _Parser(prog="svl dashboard", usage=USAGE, allow_abbrev=False)
    parser.description = (
        "Make a W&B workspace of an experiment, and a report for each figure; every call makes new ones."
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its newest run in FOLDER defines the charts")
    parser.add_argument("--entity", metavar="TEAM", help="default: the run's, else the logged-in user's")
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
    except Exception as error:  # the errors of W&B's client, GraphQL and the network have no common base
        print(f"svl: error: W&B: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("dashboard", message, USAGE)
