"""Gradient bias: a multiple of an earlier gradient is added to each gradient."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number, check_whole
from svl.interventions.on_gradients import BatchGradientIntervention


class GradientBias(BatchGradientIntervention):
    """Adds a fraction gamma of an old gradient g' to each new one: g <- g + gamma g'.

    g' is the batch gradient of an earlier step, a new one every ``every`` steps.

    The g of steps 0, ``every``, 2 ``every``, ... is the g' of the steps that follow; at step 0, g' is 0. Source: Kotha
    et al. 2025, section 3 and figure 2 (every 100 steps; facts every 25).

    Args:
        gamma: factor on the old gradient. Can vary by replica.
        every: number of steps for which an old gradient is used. Can vary by replica.

    Raises:
        SettingError: for a ``gamma`` below 0 or an ``every`` below 1.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"gamma", "every"})

    def __init__(self, gamma: float, every: int = 100) -> None:
        self.gamma = check_number("gamma", gamma, 0, math.inf, open_high=True)
        check_whole("every", every, 1)
        self.every = every

    def state(self, gradient: Float[Tensor, "replica number"]) -> dict[str, Tensor]:
        return {"old": torch.zeros_like(gradient)}

    def apply(
        self,
        gradient: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        old = state["old"]
        renew = (step % settings["every"] == 0)[:, None]
        return gradient + settings["gamma"][:, None] * old, {"old": torch.where(renew, gradient, old)}
