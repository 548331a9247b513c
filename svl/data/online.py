"""Online training on fresh data: no example is used twice."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor

from svl.data.draw import Draw, Settings
from svl.data.reuse import ReuseDataModule
from svl.data.size import check_fresh
from svl.replicas import Replicas


class Online(ReuseDataModule):
    """Fresh data: step t trains on examples t B ... t B + B - 1. A subset of size N is the first N of these."""

    def prepare(self, replicas: Replicas) -> Settings:
        check_fresh(self.prefix.rstrip("."), self.total_steps * self.batch_size, self.task)
        return {}

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        position = self.positions(draw, draw.step)
        return position + draw.settings["behind"][:, None] if "behind" in draw.settings else position
