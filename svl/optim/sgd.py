"""Stochastic gradient descent with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.optim.rule import Hyper, UpdateRule, zeros
from svl.replicas import broadcast_to


class SGD(UpdateRule):
    """``torch.optim.SGD`` with hyperparameters that can differ by replica.

    g <- g + weight_decay p; v <- momentum v + g; p <- p - lr v.

    Args:
        lr: learning rate. Can differ by replica, as can all the others.
        momentum: in [0, 1).
        weight_decay: L2 penalty.

    Raises:
        SettingError: for a hyperparameter out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "weight_decay"})

    def __init__(self, lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.lr = check_number("lr", lr, 0, math.inf, open_high=True)
        self.momentum = check_number("momentum", momentum, 0, 1, open_high=True)
        self.weight_decay = check_number("weight_decay", weight_decay, 0, math.inf, open_high=True)

    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        return zeros(parameter, "momentum_buffer")

    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        gradient = torch.addcmul(gradient, parameter, broadcast_to(hyper["weight_decay"], parameter))
        velocity = torch.addcmul(gradient, state["momentum_buffer"], broadcast_to(hyper["momentum"], parameter))
        return parameter - broadcast_to(hyper["lr"], parameter) * velocity, {"momentum_buffer": velocity}
