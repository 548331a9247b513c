"""The logistic loss."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from svl.losses.loss import Loss


class Logistic(Loss):
    """The logistic loss log(1 + exp(-y f)) for labels y in {-1, 1}."""

    targets = frozenset({"sign"})

    def each(self, outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        return F.softplus(-targets * outputs[..., 0])
