"""PCGrad: conflicting gradients of samples are projected onto each other's normal plane."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.interventions.on_gradients import SampleGradientIntervention


class PCGrad(SampleGradientIntervention):
    """Removes the part of each sample's gradient g_i that conflicts with another's g_j, for all j in random order.

    Where g_i . g_j < 0, g_i becomes g_i - (g_i . g_j / |g_j|^2) g_j. The g_j are the original ones, and the step's
    gradient is the mean of the g_i. The order is drawn anew for each sample and step from the replica's key. It needs
    the gradient of each sample. Source: Yu et al. 2020, algorithm 1, over the samples of a batch as in Kotha et al.
    2025, section 3 and figure 3.
    """

    def combine(
        self, gradients: Float[Tensor, "replica batch number"], key: Int[Tensor, "replica 2"], step: Int[Tensor, ""]
    ) -> Float[Tensor, "replica number"]:
        replicas, batch, _ = gradients.shape
        gram = gradients @ gradients.mT
        squares = gram.diagonal(dim1=1, dim2=2)
        # Each g_i is sum_k share[i, k] g_k, and product[i, j] is its product with the original g_j.
        share = torch.eye(batch, dtype=gram.dtype, device=gram.device).expand(replicas, -1, -1)
        product = gram
        for other in self._order(replicas, batch, key, step).unbind(-1):
            j = other[..., None]
            along = product.gather(2, j)
            square = squares.gather(1, other)[..., None]
            coefficient = torch.where((along < 0) & (square > 0), -along / square, 0.0)
            share = share.scatter_add(2, j, coefficient)
            product = product + coefficient * gram.gather(1, j.expand(-1, -1, batch))
        return torch.einsum("rk,rkn->rn", share.mean(1), gradients)

    def _order(
        self, replicas: int, batch: int, key: Int[Tensor, "replica 2"], step: Int[Tensor, ""]
    ) -> Int[Tensor, "replica batch others"]:
        """For each sample all others, in the order in which it is projected."""
        pair = torch.arange(batch * batch, device=key.device).expand(replicas, -1)
        words = random.bits(random.fold(random.fold(key, "pcgrad"), step)[:, None], pair)[0]
        # Behind all 32-bit words, so that each sample itself comes last.
        last = torch.eye(batch, dtype=torch.int64, device=key.device).flatten() << 32
        return (words | last).unflatten(1, (batch, batch)).argsort(dim=-1, stable=True)[..., :-1]
