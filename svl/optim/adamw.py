"""AdamW with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.optim.rule import Hyper, UpdateRule, zeros
from svl.replicas import broadcast_to


class AdamW(UpdateRule):
    """``torch.optim.AdamW`` with hyperparameters that can differ by replica (Loshchilov and Hutter, ICLR 2019).

    Args:
        lr: learning rate. Can differ by replica, as can all the others.
        beta1: decay of the first moment, in [0, 1).
        beta2: decay of the second moment, in [0, 1).
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay.

    Raises:
        SettingError: for a hyperparameter out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "beta1", "beta2", "eps", "weight_decay"})
    elementwise: ClassVar[bool] = True
    is_adaptive: ClassVar[bool] = True

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
    ) -> None:
        self.lr = check_number("lr", lr, 0, math.inf, open_high=True)
        self.beta1 = check_number("beta1", beta1, 0, 1, open_high=True)
        self.beta2 = check_number("beta2", beta2, 0, 1, open_high=True)
        self.eps = check_number("eps", eps, 0, math.inf, open_high=True)
        self.weight_decay = check_number("weight_decay", weight_decay, 0, math.inf, open_high=True)

    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        return zeros(parameter, "exp_avg", "exp_avg_sq")

    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        count = (step + 1).to(torch.float64)
        correction1, correction2 = 1 - hyper["beta1"] ** count, 1 - hyper["beta2"] ** count
        parameter = parameter * broadcast_to(1 - hyper["lr"] * hyper["weight_decay"], parameter)
        mean = torch.lerp(state["exp_avg"], gradient, broadcast_to(1 - hyper["beta1"], parameter))
        square = state["exp_avg_sq"] * broadcast_to(hyper["beta2"], parameter)
        square = square + broadcast_to(1 - hyper["beta2"], parameter) * gradient * gradient
        scale = square.sqrt() / broadcast_to(correction2.sqrt(), parameter) + broadcast_to(hyper["eps"], parameter)
        parameter = parameter - broadcast_to(hyper["lr"] / correction1, parameter) * mean / scale
        return parameter, {"exp_avg": mean, "exp_avg_sq": square}
