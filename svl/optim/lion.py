"""Lion with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.optim.rule import Hyper, UpdateRule, zeros
from svl.replicas import broadcast_to


class Lion(UpdateRule):
    """Lion, which moves by the sign of an averaged gradient (Chen et al. 2023, algorithm 2).

    p <- p (1 - lr weight_decay) - lr sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g.

    Args:
        lr: learning rate, usually 3 to 10 times smaller than AdamW's. Can differ by replica, as can all the others.
        beta1: weight of the average in the direction, in [0, 1).
        beta2: decay of the average, in [0, 1).
        weight_decay: decoupled weight decay.

    Raises:
        SettingError: for a hyperparameter out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "beta1", "beta2", "weight_decay"})
    elementwise: ClassVar[bool] = True
    is_adaptive: ClassVar[bool] = True

    def __init__(self, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0) -> None:
        self.lr = check_number("lr", lr, 0, math.inf, open_high=True)
        self.beta1 = check_number("beta1", beta1, 0, 1, open_high=True)
        self.beta2 = check_number("beta2", beta2, 0, 1, open_high=True)
        self.weight_decay = check_number("weight_decay", weight_decay, 0, math.inf, open_high=True)

    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        return zeros(parameter, "exp_avg")

    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        mean = state["exp_avg"]
        direction = torch.lerp(mean, gradient, broadcast_to(1 - hyper["beta1"], parameter)).sign()
        decayed = parameter * broadcast_to(1 - hyper["lr"] * hyper["weight_decay"], parameter)
        mean = torch.lerp(mean, gradient, broadcast_to(1 - hyper["beta2"], parameter))
        return decayed - broadcast_to(hyper["lr"], parameter) * direction, {"exp_avg": mean}
