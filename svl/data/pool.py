"""Drawing indices from a pool of N examples: fresh, with replacement, or in reshuffled epochs."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from svl import random
from svl.data.size import ONLINE, POPULATION, Size
from svl.tasks.task import Task

Reuse = Literal["epochs", "replacement"]
REUSES = ("epochs", "replacement")
_MAX_SCHEDULES = 3


def extents(sizes: list[Size], task: Task) -> Int[Tensor, "pool"]:
    """Sizes as integers: ``population`` is its number of inputs, ``online`` is 0."""
    words = {ONLINE: 0, POPULATION: task.population_size}
    return torch.tensor([words[size] if isinstance(size, str) else size for size in sizes])


class Pool:
    """The rule for one pool per replica; ``size`` 0 stands for fresh data.

    Args:
        sizes: every size that occurs in the fit (it fixes how much code the rule needs).
        batch_size: examples of one step.
        reuse: ``epochs``: a fresh pseudorandom permutation of [0, N) per epoch, each example exactly once; the next
            epoch starts in the middle of a batch where N is no multiple of it. ``replacement``: uniform on [0, N).
    """

    def __init__(self, sizes: Int[Tensor, "pool"], batch_size: int, reuse: Reuse) -> None:
        self.batch_size, self.reuse = batch_size, reuse
        finite = sorted({int(n) for n in sizes if n > 0})
        self.has_fresh, self.has_finite = bool((sizes == 0).any()), bool(finite)
        if self.has_finite and reuse == "epochs":
            self._epochs_spanned = (batch_size - 1) // finite[0] + 2
            self._plan = {n: random.permutation_plan([n]) for n in finite}
            self.walk = max(walk for _, _, walk in self._plan.values())

    def sides(self, sizes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape 2"]:
        """Each pool's permutation grid, to be kept among a strategy's numbers."""
        if not (self.has_finite and self.reuse == "epochs"):
            return torch.ones(*sizes.shape, 2, dtype=torch.int64)
        plans = [self._plan[int(n)] if n > 0 else (torch.ones(1), torch.ones(1), 0) for n in sizes.flatten()]
        return torch.tensor([[int(a), int(b)] for a, b, _ in plans]).view(*sizes.shape, 2)

    def indices(
        self,
        key: Int[Tensor, "replica 2"],
        size: Int[Tensor, "replica"],
        sides: Int[Tensor, "replica 2"],
        position: Int[Tensor, "replica batch"],
        fresh: Int[Tensor, "replica batch"],
    ) -> Int[Tensor, "replica batch"]:
        """Indices of one batch.

        Args:
            key: each replica's key for the order of this pool.
            size: each replica's N, 0 for fresh data.
            sides: from :meth:`sides`.
            position: counted since the pool came into use.
            fresh: the examples where data are fresh.
        """
        if not self.has_finite:
            return fresh
        pool = size.clamp(min=1)[:, None]
        drawn = (
            self._epochs(key, pool, sides, position)
            if self.reuse == "epochs"
            else self._replacement(key, pool, position)
        )
        return torch.where(size[:, None] > 0, drawn, fresh) if self.has_fresh else drawn

    def _replacement(self, key: Tensor, pool: Tensor, position: Tensor) -> Tensor:
        return random.integers(random.bits(random.fold(key, "order")[:, None], position), pool)

    def _epochs(self, key: Tensor, pool: Tensor, sides: Tensor, position: Tensor) -> Tensor:
        epoch = position // pool
        round_keys = self._round_keys(random.fold(key, "order")[:, None], epoch)
        grid = (sides[:, :1], sides[:, 1:])
        return random.permutation(round_keys, position - epoch * pool, pool, grid, self.walk)

    def _round_keys(self, key: Tensor, epoch: Int[Tensor, "replica batch"]) -> list[Tensor]:
        # Drawing once an epoch is cheaper than once an example, but its code grows with the epochs in a batch.
        if self._epochs_spanned > _MAX_SCHEDULES:
            return random.round_keys(random.fold(key, epoch))
        first = epoch[..., :1]
        spanned = random.round_keys(random.fold(key, first + torch.arange(self._epochs_spanned, device=key.device)))
        round_keys = [word[..., :1] for word in spanned]
        for number in range(1, self._epochs_spanned):
            later: Bool[Tensor, "replica batch"] = epoch - first == number
            round_keys = [
                torch.where(later, word[..., number : number + 1], kept)
                for word, kept in zip(spanned, round_keys, strict=True)
            ]
        return round_keys
