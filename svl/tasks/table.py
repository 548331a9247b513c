"""Stored rows in which a task looks up its examples."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from svl import random
from svl.compat.torch import untraced


class Table:
    """Columns of stored rows, looked up by row number on the device of that number, in compiled code too.

    Args:
        columns: tensors on the CPU with one row for each stored example.
    """

    def __init__(self, *columns: Shaped[Tensor, "row ..."]) -> None:
        self._columns = {columns[0].device: columns}
        self._size = len(columns[0])
        a, b, self._walk = random.permutation_plan([self._size])
        self._sides = (int(a), int(b))

    def __len__(self) -> int:
        return self._size

    def hashed(self) -> bytes:
        """SHA-256 of all rows."""
        cpu = self._columns[torch.device("cpu")]
        return hashlib.sha256(b"".join(hashlib.sha256(column.numpy().tobytes()).digest() for column in cpu)).digest()

    def __getitem__(self, index: Int[Tensor, "*shape"]) -> tuple[Shaped[Tensor, "..."], ...]:
        """The rows number ``index`` modulo the size, of each column."""
        device = index.device
        if device not in self._columns:
            # While a step is traced, the copy would be a fake tensor.
            with untraced():
                first = next(iter(self._columns.values()))
                self._columns[device] = tuple(column.to(device) for column in first)
        row = index % self._size
        # A trace accepts a tensor that is not one of its inputs only if it is lifted; elsewhere this has no effect.
        return tuple(torch.ops.aten.lift_fresh(column)[row] for column in self._columns[device])

    def shuffled(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> Int[Tensor, "replica batch"]:
        """pi(index mod size), where the permutation pi is determined by the replica's key."""
        size, a, b = (torch.full((1, 1), n, device=key.device) for n in (self._size, *self._sides))
        return random.permutation(random.round_keys(key[:, None]), index % size, size, (a, b), self._walk)
