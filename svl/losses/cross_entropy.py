"""The cross-entropy loss."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from svl.losses.loss import Loss, mean_over_positions


class CrossEntropy(Loss):
    """-log softmax(f)_y for a class y.

    With a target at each position, its mean over the positions that have one, where others are negative.
    """

    targets = frozenset({"class"})
    per_position = True

    def each(
        self, outputs: Float[Tensor, "batch *position output"], targets: Int[Tensor, "batch *position"]
    ) -> Float[Tensor, "batch"]:
        log_probability = F.log_softmax(outputs, dim=-1)
        loss = -log_probability.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        return loss if targets.dim() == 1 else mean_over_positions(loss, targets >= 0)
