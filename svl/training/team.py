"""The processes of a fit on several devices, and how they share its work.

Replicas are divided among the processes, which never talk while they train: each has the whole stack and advances its
own rows, and before a measurement or a checkpoint every process gets the others' rows. Where there are more processes
than replicas (a single large network), each batch is divided instead, and gradients are added up in every step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from svl.compat.torch import pytree


class TeamStrategy(DDPStrategy):
    """Lightning's DDP, which starts the processes and joins them; not its wrapper: gradients are the stack's own."""

    def configure_ddp(self) -> None:
        """Nothing to wrap."""


@dataclass(frozen=True)
class Team:
    """This process's place among those of the fit.

    Attributes:
        rank: number of this process.
        size: number of all.
        by_batch: whether batches are divided, and not replicas.
    """

    rank: int = 0
    size: int = 1
    by_batch: bool = False

    @property
    def divides_replicas(self) -> bool:
        """Whether each process has replicas of its own."""
        return self.size > 1 and not self.by_batch

    @property
    def divides_batches(self) -> bool:
        """Whether each process has a part of every batch."""
        return self.size > 1 and self.by_batch

    def rows(self, count: int, rank: int | None = None) -> slice:
        """The part of ``count`` things that is a process's own, by default this one's."""
        rank = self.rank if rank is None else rank
        return slice(rank * count // self.size, (rank + 1) * count // self.size)

    def exchange(self, nest: Any) -> None:
        """Give every process the rows of each tensor ``[replica, ...]`` that another one owns, in place."""
        if not self.divides_replicas:
            return
        for tensor in pytree.tree_leaves(nest):
            for rank in range(self.size):
                rows = tensor[self.rows(len(tensor), rank)]
                if rows.numel():
                    _in_place(rows, lambda part, rank=rank: dist.broadcast(part, rank))

    def add_up(self, nest: Any) -> None:
        """Replace each tensor by its sum over the processes, in place."""
        if self.divides_batches:
            for tensor in pytree.tree_leaves(nest):
                _in_place(tensor, dist.all_reduce)


def _in_place(tensor: Tensor, communicate: Any) -> None:
    """Backends take whole tensors without gaps, and no truth values."""
    own = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor.contiguous()
    communicate(own)
    if own is not tensor:
        tensor.copy_(own)


def rank() -> int:
    """This process's number in a fit on several devices, before Lightning has joined them."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or 0)
