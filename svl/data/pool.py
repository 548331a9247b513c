"""Drawing indices from a pool of N examples: fresh, with replacement, or in reshuffled epochs."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from svl import random
from svl.data.epochs import Epochs
from svl.data.size import ONLINE, POPULATION, Size
from svl.tasks.task import Task

Reuse = Literal["epochs", "replacement"]
REUSES = ("epochs", "replacement")


def extents(sizes: list[Size], task: Task) -> Int[Tensor, "pool"]:
    """Sizes as integers: ``population`` is its number of inputs, ``online`` is 0."""
    words = {ONLINE: 0, POPULATION: task.population_size}
    return torch.tensor([words[size] if isinstance(size, str) else size for size in sizes])


class Pool:
    """The rule for one pool per replica; ``size`` 0 stands for fresh data.

    Args:
        sizes: every size that occurs in the fit. With none above 0 no order is drawn; the smallest one bounds how many
            epochs a batch can span.
        batch_size: examples of one step.
        reuse: ``epochs``: a new pseudorandom permutation of [0, N) per epoch, each example exactly once; an epoch can
            end in the middle of a batch. ``replacement``: uniform on [0, N).
    """

    def __init__(self, sizes: Int[Tensor, "pool"], batch_size: int, reuse: Reuse) -> None:
        self.batch_size, self.reuse = batch_size, reuse
        finite = sizes[sizes > 0].unique().tolist()
        self.has_fresh, self.has_finite = bool((sizes == 0).any()), bool(finite)
        self.epochs = Epochs(finite, batch_size) if self.has_finite and reuse == "epochs" else None

    def sides(self, sizes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape 2"]:
        """Each pool's permutation grid, to be kept among a strategy's settings."""
        if not self.epochs:
            return torch.ones(*sizes.shape, 2, dtype=torch.int64)
        distinct, places = sizes.unique(return_inverse=True)
        return torch.tensor([self.epochs.sides(n) for n in distinct.tolist()])[places]

    def indices(
        self,
        key: Int[Tensor, "replica 2"],
        size: Int[Tensor, "replica"],
        sides: Int[Tensor, "replica 2"],
        position: Int[Tensor, "replica batch"],
        fresh: Int[Tensor, "replica batch"],
        has_kernels: bool = False,
    ) -> Int[Tensor, "replica batch"]:
        """Indices of one batch.

        Args:
            key: each replica's key for the order of this pool.
            size: each replica's N, 0 for fresh data.
            sides: from :meth:`sides`.
            position: counted since the pool came into use.
            fresh: the examples where data are fresh.
            has_kernels: whether a C++ kernel may draw the order of the epochs.
        """
        if not self.has_finite:
            return fresh
        key, pool = random.fold(key, "order"), size.clamp(min=1)
        drawn = (
            self.epochs.indices(key, pool, sides, position, has_kernels)
            if self.epochs
            else random.integers(random.bits(key[:, None], position), pool[:, None])
        )
        return torch.where(size[:, None] > 0, drawn, fresh) if self.has_fresh else drawn
