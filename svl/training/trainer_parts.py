"""Which callbacks and options of Lightning's trainer are right for a stack of replicas, and which are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from svl.errors import SettingError
from svl.training.team import TeamStrategy

REFUSED_CALLBACKS: dict[type[pl.Callback], str] = {
    callbacks.StochasticWeightAveraging: "the intervention EMA of model.interventions",
    callbacks.WeightAveraging: "the intervention EMA of model.interventions",
    callbacks.GradientAccumulationScheduler: "data.batch_size: svl divides a large batch into micro-batches itself",
    callbacks.BatchSizeFinder: "data.batch_size, which decides the numbers of a fit; svl divides large batches itself",
    callbacks.LearningRateFinder: "arms with different rates: replicas.vary: {model.optimizer.lr: [0.1, 0.3, 1]}",
    callbacks.BaseFinetuning: "model.groups.<name>.frozen",
    callbacks.ModelPruning: "callbacks that leave the parameters as they are",
    callbacks.SpikeDetection: "EarlyStopping: a replica that diverges is frozen, and never touches the others",
    callbacks.ThroughputMonitor: "svl's Throughput",
    callbacks.BasePredictionWriter: "svl fit without it: svl has no predict",
}
"""Callbacks of Lightning that would be wrong for a stack of replicas, and what to use in their place."""

# Options of the trainer that must have these values, and what to use in their place.
_FIXED: dict[str, tuple[Any, str]] = {
    "accumulate_grad_batches": (1, "1; set data.batch_size: svl divides a large batch into micro-batches itself"),
    "gradient_clip_val": (None, "null; use the intervention ClipNorm of model.interventions"),
    "num_nodes": (1, "1: a fit runs on one node; an array job or a sweep uses several"),
    "overfit_batches": (0.0, "0; a strategy such as Subset decides what is repeated"),
}


def check_callbacks(given: Sequence[pl.Callback]) -> None:
    """Refuse callbacks of Lightning that change weights, gradients or batches behind the stack's back.

    Raises:
        SettingError: naming what to use in their place.
    """
    for callback in given:
        for kind, instead in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise SettingError("trainer.callbacks", type(callback).__name__, instead)


def check_options(trainer: Any) -> None:
    """Refuse options of a plain trainer that a stack would ignore or get wrong.

    Args:
        trainer: Lightning's.

    Raises:
        SettingError: naming the option.
    """
    if trainer.state.fn == "fit" and trainer.max_steps < 1:
        allowed = "the number of optimisation steps: fresh data have no epochs, so that max_epochs cannot say it"
        raise SettingError("trainer.max_steps", trainer.max_steps, allowed)
    for name, (value, instead) in _FIXED.items():
        if getattr(trainer, name) != value:
            raise SettingError(f"trainer.{name}", getattr(trainer, name), instead)
    if trainer.precision != "32-true":
        raise SettingError("trainer.precision", trainer.precision, "32-true; ask for model.precision instead")
    if trainer.world_size > 1 and not isinstance(trainer.strategy, TeamStrategy):
        given = type(trainer.strategy).__name__
        raise SettingError("trainer.strategy", given, "svl.training.team.TeamStrategy() on several devices")


def has_stopped(given: Sequence[pl.Callback]) -> bool:
    """Whether an ``EarlyStopping`` has stopped the fit before it was resumed, and still would with its settings."""
    for callback in given:
        if isinstance(callback, callbacks.EarlyStopping):
            reason = callback.stopping_reason
            waits = reason == EarlyStoppingReason.PATIENCE_EXHAUSTED and callback.wait_count < callback.patience
            if reason != EarlyStoppingReason.NOT_STOPPED and not waits:
                return True
    return False


def measuring_interval(trainer: Any) -> int:
    """Steps between two measurements of a plain trainer.

    ``val_check_interval`` where it is a whole number, which Lightning's users set for training by steps, together with
    ``check_val_every_n_epoch=None``; ``log_every_n_steps`` otherwise.
    """
    interval = trainer.val_check_interval
    return interval if isinstance(interval, int) and interval > 0 else max(trainer.log_every_n_steps, 1)
