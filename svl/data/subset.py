"""One subset, used again and again."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from svl.data.draw import Draw, Settings, State
from svl.data.pool import REUSES, Pool, Reuse, extents
from svl.data.reuse import ReuseDataModule, only_set
from svl.data.size import ONLINE, POPULATION, Size, check_fresh, check_size
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks.task import Task


class Subset(ReuseDataModule):
    """Mini-batches from the first ``size`` examples (Liu et al. 2026, figure 2a and 2c).

    Args:
        task: what is learned.
        size: N; or ``online`` for fresh data, or ``population`` for every input of an enumerable task. Can vary by
            replica.
        reuse: ``epochs`` (a new order each epoch, every example once) or ``replacement`` (uniform on [0, N)).
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"size"})

    def __init__(
        self,
        task: Task,
        size: Size = "online",
        reuse: Reuse = "epochs",
        **common: Any,
    ) -> None:
        super().__init__(task, **common)
        if reuse not in REUSES:
            raise SettingError("reuse", reuse, "'epochs' or 'replacement'")
        self.size, self.reuse = check_size("size", size, task), reuse

    def prepare(self, replicas: Replicas) -> Settings:
        sizes = replicas.columns(self.prefix, self)["size"]
        if ONLINE in sizes:
            check_fresh(f"{self.prefix}size", self.total_steps * self.batch_size, self.task)
        extent = extents(sizes, self.task)
        self.pool = Pool(extent, self.batch_size, self.reuse)
        self._enumerates = POPULATION in sizes
        enumerated = torch.tensor([size == POPULATION for size in sizes])
        return {"size": extent, "sides": self.pool.sides(extent), "enumerated": enumerated}

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return only_set(settings["size"])

    def enumerated(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        return settings["enumerated"] if self._enumerates else None

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        position = self.positions(draw, draw.step)
        size, sides = draw.settings["size"], draw.settings["sides"]
        return self.pool.indices(draw.key, size, sides, position, position, draw.has_kernels)
