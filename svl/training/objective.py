"""The objective of a fit: its loss, and what counts as a correct answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from svl.losses import Loss
from svl.tasks.task import Task


@dataclass(frozen=True)
class Objective:
    """What a fit minimises and counts: a loss, and what the task counts as correct.

    Attributes:
        loss: the loss of each example.
        task: what is learned.
    """

    loss: Loss
    task: Task

    def of_examples(self, outputs: Tensor, targets: Tensor) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Each example's loss, and the fraction of it that is correct (NaN for a task without accuracy)."""
        losses = self.loss.each(outputs, targets)
        correct = self.task.correct(outputs.detach(), targets)
        return losses, torch.full_like(losses, math.nan) if correct is None else correct.to(losses.dtype)

    def mean(
        self, outputs: Tensor, targets: Tensor, weights: Float[Tensor, "batch"] | None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Mean loss and accuracy of one replica's batch, or their weighted sums if there are weights."""
        losses, correct = self.of_examples(outputs, targets)
        if weights is None:
            return losses.mean(), correct.mean()
        return (losses * weights).sum(), (correct * weights).sum()
