"""Losses per example, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

LossName = Literal["logistic", "hinge", "squared", "correlation"]


def logistic(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """log(1 + exp(-y f)) for labels y in {-1, 1}."""
    return F.softplus(-targets * outputs[..., 0])


def hinge(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """max(0, 1 - y f) for labels y in {-1, 1}."""
    return F.relu(1 - targets * outputs[..., 0])


def squared(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """(f - y)^2."""
    return (outputs[..., 0] - targets).square()


def correlation(outputs: Float[Tensor, "batch output"], targets: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """-y f (Liu et al. 2026, section 4.2)."""
    return -targets * outputs[..., 0]


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logistic": logistic,
    "hinge": hinge,
    "squared": squared,
    "correlation": correlation,
}
