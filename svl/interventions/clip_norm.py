"""Gradient clipping."""

from __future__ import annotations

import math
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.interventions.on_gradients import BatchGradientIntervention


class ClipNorm(BatchGradientIntervention):
    """Scales gradients of a norm above ``max_norm`` to that norm, as ``torch.nn.utils.clip_grad_norm_`` does.

    Args:
        max_norm: Euclidean norm over all parameters of a replica; ``inf`` clips nothing. Can vary by replica.

    Raises:
        SettingError: for a norm below 0.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"max_norm"})

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = check_number("max_norm", max_norm, 0, math.inf)

    def apply(
        self,
        gradient: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        share = settings["max_norm"][:, None] / (gradient.norm(dim=1, keepdim=True) + 1e-6)
        return gradient * share.clamp(max=1.0), {}
