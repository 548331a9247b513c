"""The correlation loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from svl.losses.loss import Loss


class Correlation(Loss):
    """The correlation loss -y f.

    It has no lower bound, so it needs weights of bounded size, such as those of projected updates.

    Source: Liu et al. 2026, section 4.2.
    """

    targets = frozenset({"sign", "number"})

    def each(self, outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        return -targets * outputs[..., 0]
