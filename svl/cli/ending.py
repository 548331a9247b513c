"""The end of a fit: what is printed when it was stopped, and the results that are written when it was not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import WandbLogger

from callbacks.checkpoint import Checkpoint
from svl.cli.settings import Target
from svl.console import console
from svl.results.provenance import provenance
from svl.results.run_directory import CHECKPOINT, FIGURE, RunDirectory
from svl.tracking import upload


def print_stopped(trainer: pl.Trainer, checkpoint: Checkpoint, path: Path) -> None:
    """Print who stopped a fit before its last step, and how to resume it.

    Args:
        checkpoint: the callback that received the signal, if a signal stopped the fit.
        path: the run directory.
    """
    step, received = trainer.global_step, checkpoint.received
    saved = torch.load(path / CHECKPOINT, weights_only=True)["global_step"] if received else step
    cause = received.name if received else _stopped_by(trainer)
    print(f"stopped at step {step:,} of {trainer.max_steps:,} by {cause};", end=" ")
    print(f"to resume from step {saved:,}, give the same command with --ckpt_path {path / CHECKPOINT}")


def _stopped_by(trainer: pl.Trainer) -> str:
    """Which callback stopped a fit, where that is known."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping ({' '.join(callback.stopping_reason_message.split())})"
    return "a callback or max_time"


def write_results(
    trainer: pl.Trainer,
    run_directory: RunDirectory,
    target: Target,
    words: Sequence[str],
    checkpoint: Checkpoint,
    wandb_run: WandbLogger | None = None,
) -> None:
    """Write the summary and the figure, and print the table of arms and where everything is.

    Args:
        words: the command line as the user wrote it.
        checkpoint: the callback that knows how long the fit has trained, over all resumptions, and by which routes.
        wandb_run: where the results are uploaded to.
    """
    model: Any = trainer.lightning_module
    task = trainer.datamodule.task  # type: ignore[attr-defined]
    diverged = int((model.stack.record["diverged_at"] >= 0).sum())
    extra = {
        **({"data_digest": task.digest} if task.digest else {}),
        **({"data_notes": list(task.notes)} if task.notes else {}),
        "finished": trainer.global_step >= trainer.max_steps,
        "wall_seconds": round(checkpoint.wall_seconds, 3),
        "diverged": diverged,
        "routes": checkpoint.routes,
        **provenance(words),
    }
    table = run_directory.finish(list(model.replicas.vary), target.metric, target.value, extra)
    if wandb_run:
        upload(wandb_run.experiment, run_directory)
    console().print(table)
    if diverged:
        print(f"{diverged} of {len(model.replicas)} replicas diverged; they were frozen and are counted separately")
    print(f"figure: {run_directory.path / FIGURE}.png\n{run_directory.path}")
