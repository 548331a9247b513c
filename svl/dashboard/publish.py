"""Making the views of an experiment on W&B, or the data that would be sent for them."""

from __future__ import annotations

import yaml

from svl.compat.wandb import as_data
from svl.dashboard.experiment import Experiment
from svl.dashboard.views import reports, workspace
from svl.errors import SettingError


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
    first, *others = map(as_data, views)
    return yaml.safe_dump({"workspace": first, "reports": others}, sort_keys=False, allow_unicode=True, width=120)
