"""Losses per example, by name, and the objective of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from svl.tasks.task import Task

LossName = Literal["logistic", "hinge", "squared", "correlation", "cross_entropy"]


def logistic(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """log(1 + exp(-y f)) for labels y in {-1, 1}."""
    return F.softplus(-targets * outputs[..., 0])


def hinge(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """max(0, 1 - y f) for labels y in {-1, 1}."""
    return F.relu(1 - targets * outputs[..., 0])


def squared(
    outputs: Float[Tensor, "batch *position output"], targets: Float[Tensor, "batch *position"]
) -> Float[Tensor, "batch"]:
    """(f - y)^2; its mean over the positions that have a target, where others are NaN."""
    if targets.dim() == 1:
        return (outputs[..., 0] - targets).square()
    return _mean_over_positions((outputs[..., 0] - targets.nan_to_num()).square(), ~targets.isnan())


def correlation(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """-y f (Liu et al. 2026, section 4.2)."""
    return -targets * outputs[..., 0]


def cross_entropy(
    outputs: Float[Tensor, "batch *position output"], targets: Int[Tensor, "batch *position"]
) -> Float[Tensor, "batch"]:
    """-log softmax(f)_y; its mean over the positions that have a target, where others are negative."""
    log_probability = F.log_softmax(outputs, dim=-1)
    loss = -log_probability.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return loss if targets.dim() == 1 else _mean_over_positions(loss, targets >= 0)


def _mean_over_positions(
    values: Float[Tensor, "batch *position"], valid: Bool[Tensor, "batch *position"]
) -> Float[Tensor, "batch"]:
    counted = torch.where(valid, values, 0.0).flatten(1).sum(1)
    return counted / valid.flatten(1).sum(1).clamp(min=1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logistic": logistic,
    "hinge": hinge,
    "squared": squared,
    "correlation": correlation,
    "cross_entropy": cross_entropy,
}


@dataclass(frozen=True)
class Objective:
    """What a fit minimises and counts: a loss, and the task's idea of a correct answer.

    Attributes:
        loss: name of the loss.
        task: what is learned.
    """

    loss: str
    task: Task

    def of_examples(self, outputs: Tensor, targets: Tensor) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Each example's loss, and 1 if it is correct, or the share of it that is; NaN for a task without accuracy."""
        losses = LOSSES[self.loss](outputs, targets)
        correct = self.task.correct(outputs.detach(), targets)
        return losses, torch.full_like(losses, math.nan) if correct is None else correct.to(losses.dtype)

    def mean(
        self, outputs: Tensor, targets: Tensor, weights: Float[Tensor, "batch"] | None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Mean loss and accuracy of one replica's batch, weighted where there are weights."""
        losses, correct = self.of_examples(outputs, targets)
        if weights is None:
            return losses.mean(), correct.mean()
        return (losses * weights).sum(), (correct * weights).sum()
