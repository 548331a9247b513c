"""Lightning: its count of optimisation steps, and the intervals of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


def count_steps(trainer: Trainer, steps: int) -> None:
    """Add optimisation steps to ``trainer.global_step`` under manual optimisation, which counts one a batch.

    What Lightning's own parts log by themselves has the same count as its step.
    """
    loop = trainer.fit_loop.epoch_loop
    progress = loop.manual_optimization.optim_step_progress
    for counter in (progress.total, progress.current):
        counter.ready += steps
        counter.completed += steps
    # Lightning adds 1 at the end of the batch, after validation.
    loop._batches_that_stepped = trainer.global_step - 1


def validate_now(trainer: Trainer) -> None:
    """Validate while training begins, as after a batch."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    is_first = trainer._logger_connector._first_loop_iter
    loop.restarting = False
    trainer.validating = True
    loop.run()
    trainer.training = True
    trainer._logger_connector._first_loop_iter = is_first


def checkpoint_intervals(callbacks: Iterable[Callback]) -> set[int]:
    """The numbers of steps between the checkpoints of every ``ModelCheckpoint(every_n_train_steps=...)``."""
    found = (callback._every_n_train_steps for callback in callbacks if isinstance(callback, ModelCheckpoint))
    return {steps for steps in found if steps > 0}
