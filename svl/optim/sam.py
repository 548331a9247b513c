"""Sharpness-aware minimisation with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.optim.rule import Hyper
from svl.optim.sgd import SGD
from svl.replicas import broadcast_to

_LEAST_NORM = 1e-12  # added to the norm, as in the authors' code


class SAM(SGD):
    """Sharpness-aware minimisation: SGD with the gradient at p + rho g / |g| instead of that at p.

    Source: Foret et al., ICLR 2021, algorithm 1.

    The norm |g| is over all parameters of a replica that are not frozen. A step takes two gradients of the same batch,
    so it costs twice as much. With ``rho`` 0 it equals :class:`SGD`, so that one fit can compare both. Interventions on
    the gradients act on the second gradient.

    Args:
        lr: learning rate. Can differ by replica, as can all the others.
        momentum: in [0, 1).
        weight_decay: L2 penalty, which has no part in the perturbation.
        dampening: in [0, 1].
        nesterov: Nesterov momentum; without momentum it changes nothing.
        rho: length of the perturbation.

    Raises:
        SettingError: for a hyperparameter out of range, or Nesterov momentum with dampening.
    """

    per_replica: ClassVar[frozenset[str]] = SGD.per_replica | {"rho"}

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        rho: float = 0.05,
    ) -> None:
        super().__init__(lr, momentum, weight_decay, dampening, nesterov)
        self.rho = check_number("rho", rho, 0, math.inf, open_high=True)

    def perturbation(
        self,
        parameters: Float[Tensor, "replica number"],
        gradient: Float[Tensor, "replica number"],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> Float[Tensor, "replica number"]:
        return gradient * (broadcast_to(hyper["rho"], gradient) / (gradient.norm(dim=1, keepdim=True) + _LEAST_NORM))
