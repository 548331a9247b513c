"""What every per-replica optimizer has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.errors import SettingError

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


def over(vector: Tensor, like: Float[Tensor, "replica ..."]) -> Tensor:
    """A vector over replicas, shaped to broadcast with a stacked parameter and in its precision."""
    return vector.to(like.dtype).view(-1, *[1] * (like.dim() - 1))


def check_number(key: str, value: Any, low: float, high: float, open_high: bool = False) -> float:
    """``value`` as a float in [low, high], or [low, high) if ``open_high``.

    Raises:
        SettingError: for anything else, also NaN and booleans.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (open_high and value == high):
        bound = "" if high == float("inf") else f" and {'below' if open_high else 'at most'} {high:g}"
        raise SettingError(key, value, f"a number, at least {low:g}{bound}")
    return float(value)


def zeros(parameter: Tensor, *names: str) -> dict[str, Tensor]:
    """State tensors of the parameter's shape."""
    return {name: torch.zeros_like(parameter) for name in names}
