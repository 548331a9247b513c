"""What every per-replica optimizer has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

Hyper = dict[str, Tensor]


class UpdateRule(ABC):
    """An optimizer as a pure function over a stack: every hyperparameter is a vector over replicas.

    Unlike a ``torch.optim.Optimizer`` it holds hyperparameters and no state; :meth:`state` says what is to be kept for
    each parameter. Its attributes have the names of its constructor's arguments.
    """

    per_replica: ClassVar[frozenset[str]]
    is_adaptive: ClassVar[bool] = False  # whether an update keeps its size when the gradient is scaled

    @abstractmethod
    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        """The initial state of one stacked parameter."""

    @abstractmethod
    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        """The parameter and its state after step number ``step`` (from 0).

        Args:
            hyper: each of ``per_replica`` as float64 ``[replica]``.
        """


def zeros(parameter: Tensor, *names: str) -> dict[str, Tensor]:
    """State tensors of the parameter's shape."""
    return {name: torch.zeros_like(parameter) for name in names}
