"""The hinge loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from svl.losses.loss import Loss


class Hinge(Loss):
    """The hinge loss max(0, 1 - y f) for labels y in {-1, 1}."""

    targets = frozenset({"sign"})

    def each(self, outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        return F.relu(1 - targets * outputs[..., 0])
