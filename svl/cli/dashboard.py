"""``svl dashboard``: a W&B workspace of an experiment, and a report for each of its figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError
from svl.extras import require

USAGE = "svl dashboard EXPERIMENT [--entity TEAM] [--project PROJECT] [--runs FOLDER] [--dry-run]"


def main(words: Sequence[str]) -> int:
    """Make an experiment's dashboard and print its addresses, or print its specification.

    Args:
        words: the command line after ``svl dashboard``.

    Returns:
        0, or 1 where W&B could not be reached or refused.

    Raises:
        SettingError: for words or a run that cannot be used, and where nobody is logged in.
    """
    about = "Make a W&B workspace of an experiment, and a report for each figure; every call makes new ones."
    parser = Parser("dashboard", USAGE, about)
    about_name = "its newest run in FOLDER decides what is drawn; without one, --project is needed"
    parser.add_argument("experiment", metavar="EXPERIMENT", help=about_name)
    parser.add_argument("--entity", metavar="TEAM", help="default: the run's, else the default team of your login")
    parser.add_argument("--project", help="default: the run's, else svl")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    parser.add_argument("--dry-run", action="store_true", help="print the specification; needs no network and no login")
    given = parser.parse_args(words)
    require("dashboard", "wandb_workspaces")
    # torch, Lightning and matplotlib take seconds to import.
    from svl.dashboard import Experiment, save, specification

    experiment = Experiment.read(given.experiment, given.runs)
    if not experiment.runs and given.project is None:
        allowed = f"an experiment with measured runs in {given.runs}; give --project for one whose runs are only on W&B"
        raise SettingError("EXPERIMENT", given.experiment, allowed)
    entity = given.entity or experiment.tracking.entity
    project = given.project or experiment.tracking.project
    if given.dry_run:
        print(specification(experiment, entity, project), end="")
        return 0
    try:
        print(*save(experiment, entity, project), sep="\n")
    except SettingError:
        raise
    except Exception as error:  # the errors of W&B, GraphQL and the network have no base class in common
        print(f"svl: error: W&B: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0
