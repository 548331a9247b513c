"""Fresh data: no example is seen twice."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor

from svl.data.reuse import Numbers, ReuseDataModule, State
from svl.data.size import check_fresh
from svl.replicas import Replicas


class Online(ReuseDataModule):
    """Step t trains on examples t B ... t B + B - 1; a subset of size N is the first N of these."""

    def numbers(self, replicas: Replicas) -> Numbers:
        check_fresh("data", self.total_steps * self.batch_size, self.task)
        return {}

    def indices(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""],
    ) -> Int[Tensor, "replica batch"]:
        position = self.positions(numbers, key, step)
        return position + numbers["behind"][:, None] if "behind" in numbers else position
