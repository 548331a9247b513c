"""The processes of a fit on several devices, and how they divide its work.

The processes divide the replicas and do not communicate while they train: each holds the whole stack and advances its
own rows. Before a measurement or a checkpoint, every process receives the rows of the others. If there are more
processes than replicas (for example a single large network), they divide each batch instead, and add up the gradients
at every step.
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
    """Lightning's DDP strategy, which starts and joins the processes, without DDP's wrapper around the module.

    The stack computes its own gradients, and :class:`Team` adds them up.
    """

    def configure_ddp(self) -> None:
        """Leave the module as it is."""


@dataclass(frozen=True)
class Team:
    """The place of this process among the processes of the fit.

    Attributes:
        rank: number of this process.
        size: number of processes.
        by_batch: whether the processes divide each batch instead of the replicas.
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
        """The part of ``count`` rows that belongs to a process, by default to this one."""
        rank = self.rank if rank is None else rank
        return slice(rank * count // self.size, (rank + 1) * count // self.size)

    def exchange(self, nest: Any) -> None:
        """Send the rows of each tensor ``[replica, ...]`` from the process that owns them to all others, in place."""
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
    """Communicate a tensor in place; backends accept only contiguous tensors that are not boolean."""
    buffer = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor.contiguous()
    communicate(buffer)
    if buffer is not tensor:
        tensor.copy_(buffer)


def rank() -> int:
    """This process's number in a fit on several devices, before Lightning has joined them."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or 0)
