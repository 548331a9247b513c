"""The W&B logger of a fit."""

from __future__ import annotations

import os
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from svl.results.run import RunDirectory


def tracker(run: RunDirectory, mode: str, project: str, entity: str | None, config: dict[str, Any]) -> WandbLogger:
    """One W&B run per fit; its id is the run directory's name, so a resumed fit goes on in the same run.

    Args:
        run: the run directory; W&B's own files go below it.
        mode: ``auto``, ``online`` or ``offline``; ``auto`` is online when somebody is logged in.
        config: the resolved config, uploaded whole.
    """
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    return WandbLogger(
        name=f"{run.path.parent.name}/{run.id}",
        id=run.id,
        save_dir=str(run.path),
        project=project,
        entity=entity,
        group=run.path.parent.name,
        job_type="fit",
        mode=mode,
        config=config,
    )
