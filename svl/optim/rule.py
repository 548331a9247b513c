"""The base class of optimizers: update rules that train all replicas at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

Hyper = dict[str, Tensor]


class UpdateRule(ABC):
    """The base class of optimizers: a pure function that updates the parameters of all replicas.

    Every hyperparameter is a vector with one value for each replica. Unlike a ``torch.optim.Optimizer`` a rule holds
    hyperparameters and no state: :meth:`state` makes the initial state and :meth:`update` returns the next one. A
    subclass stores the arguments of its constructor in attributes of the same names.

    An update must be elementwise, because parameters with the same hyperparameters are flattened and concatenated into
    one matrix ``[replica, number]`` before :meth:`update` is called: a rule cannot see the shape of a single parameter.

    Attributes:
        per_replica: names of the hyperparameters. Parameter groups and parameterisations change ``lr`` and
            ``weight_decay`` where a rule has them; schedules need ``lr``.
        is_adaptive: whether the size of an update stays the same when the gradient is scaled, as Adam's does.
    """

    per_replica: ClassVar[frozenset[str]]
    is_adaptive: ClassVar[bool] = False

    @abstractmethod
    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        """The initial state of one stacked parameter: tensors of the parameter's shape, by name."""

    @abstractmethod
    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        """The parameter and its state after one step.

        Args:
            parameter: one or more parameters, ``[replica, ...]``.
            gradient: the gradient, of the same shape.
            state: the state, as :meth:`state` or the last call returned it.
            hyper: the hyperparameters in ``per_replica``, each a float64 tensor ``[replica]``.
            step: number of the step; the first is 0.
        """


def zeros(parameter: Tensor, *names: str) -> dict[str, Tensor]:
    """A state of zeros: for each name a tensor of the parameter's shape."""
    return {name: torch.zeros_like(parameter) for name in names}
