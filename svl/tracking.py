"""The W&B run of a fit."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger

from svl.results.run import RunDirectory

_PATIENCE = 30.0
"""Seconds to wait for an unreachable server, once at the start and once at the end."""


@dataclass
class Tracking:
    """Weights & Biases.

    Args:
        mode: ``auto`` is online when somebody is logged in and offline otherwise.
        project: W&B project.
        entity: W&B team.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "svl"
    entity: str | None = None


def tracker(run: RunDirectory, tracking: Tracking, config: dict[str, Any]) -> WandbLogger | None:
    """Start the fit's W&B run, whose id is the run directory's name, so that a resumed fit goes on in the same run.

    ``WANDB_MODE`` decides where the mode is ``auto``. A server that cannot be reached makes the run an offline one,
    which ``wandb sync`` uploads later.

    Args:
        run: the run directory; W&B's own files go below it.
        config: the resolved config, uploaded whole.
    """
    mode: Any = os.environ.get("WANDB_MODE", "auto") if tracking.mode == "auto" else tracking.mode
    if mode == "disabled":
        return None
    import wandb

    # svl says what there is to say; capturing the terminal would break the progress bar.
    settings = wandb.Settings(
        silent=True, console="off", init_timeout=_PATIENCE, finish_timeout=_PATIENCE, finish_timeout_raises=False
    )
    wandb.setup(wandb.Settings(silent=True))
    options: dict[str, Any] = {
        "name": f"{run.path.parent.name}/{run.id}",
        "id": run.id,
        "resume": "allow",
        "dir": str(run.path),
        "project": tracking.project,
        "entity": tracking.entity,
        "group": run.path.parent.name,
        "job_type": "fit",
        "config": config,
        "settings": settings,
    }
    try:
        if mode == "auto":
            mode = "online" if wandb.login(prompt=False) else "offline"
        experiment = wandb.init(mode=mode, **options)
    except wandb.errors.Error as error:
        print(f"W&B: {' '.join(str(error).split())}; this run is kept offline, for wandb sync", file=sys.stderr)
        experiment = wandb.init(mode="offline", **options)
    experiment.define_metric("*", step_metric="step")
    return WandbLogger(experiment=experiment)
