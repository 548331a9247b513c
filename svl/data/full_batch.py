"""Full-batch gradient descent on a subset or on the whole population."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.data.pool import extents
from svl.data.reuse import Numbers, ReuseDataModule, State, only_set
from svl.data.size import ONLINE, POPULATION, Size, check_size
from svl.errors import SettingError, check_whole
from svl.replicas import Replicas
from svl.tasks.task import Task


class FullBatch(ReuseDataModule):
    """Every step uses all of the first ``size`` examples (Liu et al. 2026, figure 2b and 2d).

    Args:
        task: what is learned.
        size: N, or ``population`` for every input of an enumerable task. Can vary by replica.
        micro_batch_size: examples whose activations are held at once; changes no value but rounding.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"size"})
    decided: ClassVar[frozenset[str]] = frozenset({"batch_size"})

    def __init__(
        self,
        task: Task,
        size: Size,
        micro_batch_size: int = 1024,
        **common: Any,
    ) -> None:
        check_whole("data.micro_batch_size", micro_batch_size, 1)
        super().__init__(task, micro_batch_size, **common)
        if size == ONLINE:
            raise SettingError("data.size", size, "a number of examples or 'population': a full batch is finite")
        self.size, self.micro_batch_size = check_size("data.size", size, task, (POPULATION,)), micro_batch_size

    def numbers(self, replicas: Replicas) -> Numbers:
        sizes = replicas.numbers(self.prefix, self).get("size", [self.size] * len(replicas))
        self._enumerates = POPULATION in sizes
        return {"size": extents(sizes, self.task), "enumerated": torch.tensor([size == POPULATION for size in sizes])}

    def sets(self, numbers: Numbers) -> Int[Tensor, "replica phase 2"]:
        return only_set(numbers["size"])

    def enumerated(self, numbers: Numbers, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        return numbers["enumerated"] if self._enumerates else None

    def micro_batches(self, numbers: Numbers) -> int:
        return -(-int(numbers["size"].max()) // self.batch_size)

    def indices(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""],
    ) -> Int[Tensor, "replica batch"]:
        offset = torch.arange(self.batch_size, device=key.device)
        return (micro * self.batch_size + offset).expand(key.shape[0], -1)

    def weights(self, numbers: Numbers, index: Int[Tensor, "replica batch"]) -> Float[Tensor, "replica batch"]:
        size = numbers["size"][:, None]
        return (index < size) / size

    def samples(self, numbers: Numbers, state: State, steps: int) -> Int[Tensor, "replica"]:
        return numbers["size"] * steps
