"""Examples or whole batches drawn by Zipf's law."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.data.reuse import Numbers, ReuseDataModule, State
from svl.data.size import check_size
from svl.errors import SettingError, check_whole
from svl.optim.rule import check_number
from svl.replicas import Replicas
from svl.tasks.task import Task

LARGEST = 2**20
"""Ranks that a table holds: one number each, for every replica."""


class Zipf(ReuseDataModule):
    """Each draw is number r - 1 of N with probability proportional to r^(-exponent), r = 1, ..., N.

    Examples are random themselves, so the order of the first N is a random assignment of ranks. Source: Kotha et al.
    2025, section 4.2 and figure 5.

    Args:
        task: what is learned.
        size: N examples, at most 2^20 of them, or of batches of them. Can vary by replica.
        exponent: 0 is uniform; at least 0. Can vary by replica.
        over: ``examples``: each is drawn by itself; ``batches``: the N examples are cut into floor(N / batch_size)
            batches, of which a step draws one.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.

    Raises:
        SettingError: for a size or an exponent out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"size", "exponent"})

    def __init__(
        self,
        task: Task,
        size: int,
        exponent: float = 1.0,
        over: Literal["examples", "batches"] = "examples",
        **common: Any,
    ) -> None:
        super().__init__(task, **common)
        if over not in ("examples", "batches"):
            raise SettingError("data.over", over, "'examples' or 'batches'")
        check_size("data.size", size, task, ())
        low, high = (1, LARGEST) if over == "examples" else (self.batch_size, LARGEST * self.batch_size)
        check_whole("data.size", size, low, high, f"{low} to {high}, of {over}")
        self.size, self.over = size, over
        self.exponent = check_number("data.exponent", exponent, 0, float("inf"), open_high=True)

    def numbers(self, replicas: Replicas) -> Numbers:
        columns = replicas.numbers("data.", self)
        unit = 1 if self.over == "examples" else self.batch_size
        sizes = torch.tensor(columns["size"]) // unit
        return {"distribution": distribution(sizes, torch.tensor(columns["exponent"], dtype=torch.float64))}

    def indices(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""],
    ) -> Int[Tensor, "replica batch"]:
        offset = torch.arange(self.batch_size, device=key.device)
        if self.over == "batches":
            batch = rank(numbers["distribution"], key, step.expand(key.shape[0], 1))
            return batch * self.batch_size + offset
        return rank(numbers["distribution"], key, (step * self.batch_size + offset).expand(key.shape[0], -1))


def distribution(size: Int[Tensor, "replica"], exponent: Float[Tensor, "replica"]) -> Float[Tensor, "replica rank"]:
    """P(rank <= r) of Zipf's law for r = 0, 1, ..., in float64; 1 from each replica's last rank on."""
    ranks = torch.arange(1, int(size.max()) + 1, dtype=torch.float64)
    weight = torch.exp(-exponent[:, None] * ranks.log()) * (ranks <= size[:, None])
    cumulative = weight.cumsum(1)
    return (cumulative / cumulative[:, -1:]).where(ranks < size[:, None], 1.0)


def rank(
    distribution: Float[Tensor, "replica rank"], key: Int[Tensor, "replica 2"], counter: Int[Tensor, "replica draw"]
) -> Int[Tensor, "replica draw"]:
    """Ranks from 0 on, drawn by inversion with 53 random bits each."""
    high, low, _, _ = random.bits(random.fold(key, "zipf")[:, None], counter)
    uniform = ((high >> 5) * 2**26 + (low >> 6)).to(torch.float64) * 2.0**-53
    return torch.searchsorted(distribution, uniform, right=True)
