"""The mean of a number of each test example, for each replica."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class ReplicaMean(Metric):
    """The mean over examples, for each replica, of the sums that a stack has computed.

    A stack computes the sums itself, with all replicas at once and in the processes that own them, so that this metric
    only divides them; it does not add up over processes again.

    Args:
        name: of the number, by which it is found among the sums.
        replicas: number of replicas.
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, name: str, replicas: int) -> None:
        super().__init__(sync_on_compute=False)
        self.name = name
        self.add_state("total", torch.zeros(replicas), "sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), "sum")

    def update(self, sums: Mapping[str, Any], count: int) -> None:
        """Add the sums over so many examples.

        Args:
            sums: by name, ``[replica]``.
            count: examples of each replica.
        """
        self.total = self.total + sums[self.name].to(self.total.device)
        self.count = self.count + count

    def compute(self) -> Float[Tensor, "replica"]:
        """Each replica's mean."""
        return self.total / self.count
