"""Zipf's law on the ranks of a pool."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random

LARGEST = 2**20
"""The largest pool: a table of weights has a number for each rank and replica."""


def cumulative_weights(
    size: Int[Tensor, "replica"], exponent: Float[Tensor, "replica"]
) -> Float[Tensor, "replica rank"]:
    """Sums of r^(-exponent) up to each rank r = 1, 2, ... of the largest pool, in float64."""
    ranks = torch.arange(1, int(size.max()) + 1, dtype=torch.float64)
    return torch.exp(-exponent[:, None] * ranks.log()).cumsum(1)


def rank(
    weights: Float[Tensor, "replica rank"],
    key: Int[Tensor, "replica 2"],
    counter: Int[Tensor, "replica draw"],
    size: Int[Tensor, "replica 1"],
) -> Int[Tensor, "replica draw"]:
    """Ranks, counted from 0, in pools of ``size``; each is drawn by inversion with 53 random bits."""
    high, low, _, _ = random.bits(random.fold(key, "zipf")[:, None], counter)
    uniform = ((high >> 5) * 2**26 + (low >> 6)).to(torch.float64) * 2.0**-53
    drawn = torch.searchsorted(weights, uniform * weights.gather(1, size - 1), right=True)
    return torch.minimum(drawn, size - 1)
