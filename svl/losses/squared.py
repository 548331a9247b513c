"""The squared loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from svl.losses.loss import Loss, mean_over_positions


class Squared(Loss):
    """The squared loss (f - y)^2; its mean over the outputs if the targets are vectors.

    With a target at each position, its mean over the positions that have one, where others are NaN.
    """

    targets = frozenset({"sign", "number", "vector"})
    per_position = True

    def each(
        self, outputs: Float[Tensor, "batch *position output"], targets: Float[Tensor, "batch *axis"]
    ) -> Float[Tensor, "batch"]:
        if targets.dim() == 1:
            return (outputs[..., 0] - targets).square()
        if targets.dim() == outputs.dim():
            return (outputs - targets).square().mean(-1)
        return mean_over_positions((outputs[..., 0] - targets.nan_to_num()).square(), ~targets.isnan())
