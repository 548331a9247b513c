"""Lightning: its count of optimisation steps."""

from __future__ import annotations

from lightning.pytorch import Trainer


def count_steps(trainer: Trainer, steps: int) -> None:
    """Add optimisation steps to ``trainer.global_step`` under manual optimisation, which counts one a batch."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for counter in (progress.total, progress.current):
        counter.ready += steps
        counter.completed += steps
