"""Stochastic gradient descent with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_flag, check_number
from svl.errors import SettingError
from svl.optim.rule import Hyper, UpdateRule, zeros
from svl.replicas import broadcast_to


class SGD(UpdateRule):
    """``torch.optim.SGD`` with hyperparameters that can differ by replica.

    g <- g + weight_decay p; v <- momentum v + (1 - dampening) g; p <- p - lr v, or p - lr (g + momentum v) with
    Nesterov momentum. As in PyTorch, dampening begins with the second step and needs a momentum.

    Args:
        lr: learning rate. Can differ by replica, as can all the others.
        momentum: in [0, 1).
        weight_decay: L2 penalty.
        dampening: in [0, 1].
        nesterov: Nesterov momentum; without momentum it changes nothing.

    Raises:
        SettingError: for a hyperparameter out of range, or Nesterov momentum with dampening.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "weight_decay", "dampening", "nesterov"})
    optional: ClassVar[frozenset[str]] = frozenset({"dampening", "nesterov"})
    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.lr = check_number("lr", lr, 0, math.inf, open_high=True)
        self.momentum = check_number("momentum", momentum, 0, 1, open_high=True)
        self.weight_decay = check_number("weight_decay", weight_decay, 0, math.inf, open_high=True)
        self.dampening = check_number("dampening", dampening, 0, 1)
        check_flag("nesterov", nesterov)
        self.nesterov = nesterov
        if nesterov and dampening:
            raise SettingError("dampening", dampening, "0 with nesterov")

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
        momentum = broadcast_to(hyper["momentum"], parameter)
        gradient = torch.addcmul(gradient, parameter, broadcast_to(hyper["weight_decay"], parameter))
        added = gradient
        if "dampening" in hyper:
            is_undamped = (step == 0) | (hyper["momentum"] == 0)
            added = gradient * broadcast_to(torch.where(is_undamped, 1.0, 1 - hyper["dampening"]), parameter)
        velocity = torch.addcmul(added, state["momentum_buffer"], momentum)
        direction = velocity
        if "nesterov" in hyper:
            ahead = torch.addcmul(gradient, velocity, momentum)
            direction = torch.where(broadcast_to(hyper["nesterov"], parameter) > 0, ahead, velocity)
        return parameter - broadcast_to(hyper["lr"], parameter) * direction, {"momentum_buffer": velocity}
