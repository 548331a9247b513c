"""The base class of losses: pure functions from outputs and targets to one number for each example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from svl.tasks.task import Task


class Loss(ABC):
    """The base class of losses: a differentiable function of a network's outputs and the targets.

    A subclass sets ``targets`` and implements :meth:`each`. The arguments of its constructor are the same for all
    replicas.

    Attributes:
        targets: the kinds of target that the loss can be used with: ``sign`` for labels -1 and 1, ``number`` for real
            numbers, ``vector`` for several real numbers an example, ``class`` for classes numbered from 0; see
            :attr:`svl.tasks.Task.target`.
        per_position: whether the loss can be used with a target at each position; then it must leave out the positions
            without a target, see :func:`mean_over_positions`.
    """

    targets: ClassVar[frozenset[str]]
    per_position: ClassVar[bool] = False

    @abstractmethod
    def each(self, outputs: Float[Tensor, "batch *position output"], targets: Tensor) -> Float[Tensor, "batch"]:
        """The loss of each example of one replica.

        It is called inside :func:`torch.func.vmap`, so it must not branch on the values of a tensor.

        Args:
            outputs: the network's outputs; tasks with signs or numbers have one output.
            targets: ``[batch]``; ``[batch, output]`` for vectors; or ``[batch, position]`` with a target at each
                position, where NaN (numbers) or -100 (classes) marks a position without a target.
        """

    def for_task(self, task: Task) -> Loss:
        """The loss with what it needs of a task that it fits, such as weights of its classes; by default itself.

        Raises:
            SettingError: for arguments that do not suit the task.
        """
        return self

    def fits(self, task: Task) -> bool:
        """Whether the loss can be used with a task's targets."""
        return task.target in self.targets and (self.per_position or not task.per_position)


def mean_over_positions(
    values: Float[Tensor, "batch *position"], valid: Bool[Tensor, "batch *position"]
) -> Float[Tensor, "batch"]:
    """Each example's mean over the positions that have a target; 0 if there are none.

    Args:
        values: the loss at each position.
        valid: which positions have a target.
    """
    counted = torch.where(valid, values, 0.0).flatten(1).sum(1)
    return counted / valid.flatten(1).sum(1).clamp(min=1)
