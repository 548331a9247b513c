"""Two sets: part of each batch comes from a small set, the rest is fresh."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from svl import random
from svl.checks import check_number
from svl.data.draw import Draw, Settings
from svl.data.reuse import ReuseDataModule, only_set
from svl.data.size import check_fresh, check_size
from svl.replicas import Replicas
from svl.tasks.task import Task


class TwoSets(ReuseDataModule):
    """A small set and fresh data in each batch.

    Each example is drawn with probability p from the first ``size``, with replacement; otherwise it is fresh.

    Source: Charton and Kempe 2024, as Liu et al. 2026, section 2, describe it.

    Args:
        task: what is learned.
        size: N, examples of the small set. Can vary by replica.
        probability: p, 0 to 1: 0 is fresh data, 1 a subset. Can vary by replica.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.

    Raises:
        SettingError: for a size or a probability out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"size", "probability"})

    def __init__(
        self,
        task: Task,
        size: int,
        probability: float = 0.25,
        **common: Any,
    ) -> None:
        super().__init__(task, **common)
        check_size("size", size, task, ())
        self.size, self.probability = size, check_number("probability", probability, 0, 1)

    def prepare(self, replicas: Replicas) -> Settings:
        columns = replicas.columns(self.prefix, self)
        check_fresh(self.prefix.rstrip("."), max(columns["size"]) + self.total_steps * self.batch_size, self.task)
        # An example whose 32-bit word is below the threshold comes from the small set.
        threshold = torch.tensor(columns["probability"], dtype=torch.float64) * 2**32
        return {"size": torch.tensor(columns["size"]), "threshold": threshold.round().to(torch.int64)}

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return only_set(settings["size"])

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        position = self.positions(draw, draw.step)
        stream, size = random.fold(draw.key, "two sets")[:, None], draw.settings["size"][:, None]
        is_small = random.bits(stream, position)[0] < draw.settings["threshold"][:, None]
        return torch.where(is_small, random.integers(random.bits(stream, position, 1), size), size + position)
