"""Stored rows that a task looks examples up in."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from svl import random
from svl.compat.torch import untraced


class Table:
    """Columns of stored rows, looked up by number on the number's device, in traced code too.

    Args:
        columns: tensors on the CPU that have one row for each stored example.
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

    def __getitem__(self, index: Int[Tensor, "*shape"]) -> tuple[Shaped[Tensor, "*shape ..."], ...]:
        """Of each column the rows number ``index`` modulo the size."""
        device = index.device
        if device not in self._columns:
            # Where a step is being traced, a copy would be a fake one.
            with untraced():
                first = next(iter(self._columns.values()))
                self._columns[device] = tuple(column.to(device) for column in first)
        row = index % self._size
        # A trace takes a tensor that is none of its inputs only where it is lifted; elsewhere this does nothing.
        return tuple(torch.ops.aten.lift_fresh(column)[row] for column in self._columns[device])

    def shuffled(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> Int[Tensor, "replica batch"]:
        """pi(index mod size), where pi is the permutation of a replica's key."""
        size, a, b = (torch.full((1, 1), n, device=key.device) for n in (self._size, *self._sides))
        return random.permutation(random.round_keys(key[:, None]), index % size, size, (a, b), self._walk)
