"""The cross-entropy loss."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from svl.errors import SettingError
from svl.losses.loss import Loss, mean_over_positions
from svl.tasks.table import Table
from svl.tasks.task import Task


class CrossEntropy(Loss):
    """The cross-entropy -w_y log softmax(f)_y for a class y; the weights w of the classes are 1 by default.

    With a target at each position, its mean over the positions that have one, where others are negative.

    Args:
        class_weights: a weight for each class; or ``balanced`` for weights in inverse proportion to the frequencies in
            the training items, whose mean over these is 1. Test losses are weighted too. A batch's mean divides by
            the number of its examples, and not by the sum of their weights as ``torch.nn.CrossEntropyLoss`` does.

    Raises:
        SettingError: for weights that are not numbers, at least 0; with a task, for weights of another number than
            there are classes, and ``balanced`` for a task that does not count its classes.
    """

    targets = frozenset({"class"})
    per_position = True

    def __init__(self, class_weights: list[float] | Literal["balanced"] | None = None) -> None:
        self.class_weights = class_weights
        self._weights: Table | None = None
        if class_weights is None or class_weights == "balanced":
            return
        is_weights = isinstance(class_weights, list | tuple) and class_weights and all(map(_is_weight, class_weights))
        if not is_weights:
            raise SettingError("class_weights", class_weights, "a list of numbers, at least 0; balanced; or null")

    def for_task(self, task: Task) -> CrossEntropy:
        if self.class_weights is None:
            return self
        counts = task.class_counts
        if self.class_weights == "balanced":
            if counts is None:
                allowed = f"a weight for each class: {type(task).__name__} does not count its classes"
                raise SettingError("class_weights", "balanced", allowed)
            present = counts.clamp(min=1)
            weights = counts.sum() / (int((counts > 0).sum()) * present.to(torch.float64))
        else:
            weights = torch.tensor(self.class_weights, dtype=torch.float64)
            if len(weights) != task.output_dim:
                allowed = f"{task.output_dim} weights, one for each class; or balanced"
                raise SettingError("class_weights", self.class_weights, allowed)
        weighted = CrossEntropy(self.class_weights)
        weighted._weights = Table(weights.to(torch.float32))
        return weighted

    @property
    def weights(self) -> Float[Tensor, "class"] | None:
        """Weights of the classes of a task, see :meth:`for_task`; ``None`` for ones."""
        return None if self._weights is None else self._weights[torch.arange(len(self._weights))][0]

    def each(
        self, outputs: Float[Tensor, "batch *position output"], targets: Int[Tensor, "batch *position"]
    ) -> Float[Tensor, "batch"]:
        log_probability = F.log_softmax(outputs, dim=-1)
        valid = targets.clamp(min=0)
        loss = -log_probability.gather(-1, valid[..., None])[..., 0]
        if self._weights is not None:
            loss = loss * self._weights[valid][0]
        return loss if targets.dim() == 1 else mean_over_positions(loss, targets >= 0)


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
