"""The orders in which epochs go through pools, drawn by a C++ kernel where a compiled step asks for them."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from svl import native, random

_MAX_SCHEDULES = 3


class Epochs:
    """Each epoch of a pool in a new pseudorandom order, which is computed and not stored.

    Args:
        sizes: all sizes of pools in the fit.
        batch_size: examples of one step.
    """

    def __init__(self, sizes: list[int], batch_size: int) -> None:
        self._spanned = (batch_size - 1) // min(sizes) + 2
        self._plan = {n: random.permutation_plan([n]) for n in sizes}
        self.walk = max(walk for _, _, walk in self._plan.values())

    def sides(self, size: int) -> tuple[int, int]:
        """The grid of a pool's permutations; 1 x 1 for size 0, fresh data."""
        if not size:
            return 1, 1
        a, b, _ = self._plan[size]
        return int(a), int(b)

    def indices(
        self,
        key: Int[Tensor, "replica 2"],
        size: Int[Tensor, "replica"],
        sides: Int[Tensor, "replica 2"],
        position: Int[Tensor, "replica batch"],
        has_kernels: bool = False,
    ) -> Int[Tensor, "replica batch"]:
        """Indices of the examples at positions that are counted across epochs.

        Args:
            key: each replica's.
            size: of each pool, at least 1.
            sides: of its grid.
            position: from 0.
            has_kernels: whether the C++ kernel may be used, where it can be built; the indices are the same.
        """
        if has_kernels and key.device.type == "cpu" and native.is_available("epochs"):
            return epoch_indices(key, size, sides, position)
        pool = size[:, None]
        epoch = position // pool
        grid = (sides[:, :1], sides[:, 1:])
        return random.permutation(self._round_keys(key[:, None], epoch), position - epoch * pool, pool, grid, self.walk)

    def _round_keys(self, key: Tensor, epoch: Int[Tensor, "replica batch"]) -> list[Tensor]:
        # Drawing keys once per epoch is cheaper than once per example, but needs code for each epoch in a batch.
        if self._spanned > _MAX_SCHEDULES:
            return random.round_keys(random.fold(key, epoch))
        first = epoch[..., :1]
        spanned = random.round_keys(random.fold(key, first + torch.arange(self._spanned, device=key.device)))
        round_keys = [word[..., :1] for word in spanned]
        for number in range(1, self._spanned):
            later: Bool[Tensor, "replica batch"] = epoch - first == number
            round_keys = [
                torch.where(later, word[..., number : number + 1], kept)
                for word, kept in zip(spanned, round_keys, strict=True)
            ]
        return round_keys


def _like_position(key: Tensor, size: Tensor, sides: Tensor, position: Tensor) -> Tensor:
    return torch.empty_like(position, memory_format=torch.contiguous_format)


def _over_batches(
    info: Any, in_dims: tuple[int | None, ...], key: Tensor, size: Tensor, sides: Tensor, position: Tensor
) -> tuple[Tensor, int]:
    """Batches of positions of the same pools are further positions; batches of pools are further pools."""
    places = in_dims[3]
    if in_dims[:3] == (None, None, None) and places is not None:
        moved = position.movedim(places, 1)
        indices: Tensor = epoch_indices(key, size, sides, moved.flatten(1))
        return indices.view(moved.shape), 1
    every = [
        tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        for tensor, axis in zip((key, size, sides, position), in_dims, strict=True)
    ]
    indices = epoch_indices(*(tensor.flatten(0, 1) for tensor in every))
    return indices.view(every[3].shape), 0


@native.operator(
    "epoch_indices(Tensor key, Tensor size, Tensor sides, Tensor position) -> Tensor", _like_position, _over_batches
)
def epoch_indices(key: Tensor, size: Tensor, sides: Tensor, position: Tensor) -> Tensor:
    """:meth:`Epochs.indices` by the kernel."""
    inputs = [tensor.contiguous() for tensor in (key, size, sides, position)]
    indices = torch.empty(position.shape, dtype=torch.int64)
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (*inputs, indices))
    native.library("epochs").epoch_indices(*map(ctypes.c_int64, position.shape), *pointers)
    return indices
