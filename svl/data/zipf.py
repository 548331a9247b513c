"""Examples or whole batches drawn by Zipf's law."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from svl.checks import check_number, check_whole
from svl.data import zipf_law
from svl.data.draw import Draw, Settings
from svl.data.reuse import ReuseDataModule, only_set
from svl.data.size import check_size
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks.task import Task


class Zipf(ReuseDataModule):
    """Examples drawn by Zipf's law: number r - 1 of N with a probability proportional to r^(-exponent), r = 1, ..., N.

    Examples are random themselves, so the order of the first N is a random assignment of ranks. Source: Kotha et al.
    2025, section 4.2 and figure 5.

    Args:
        task: what is learned.
        size: N examples, at most 2^20 of them, or of batches of them. Can vary by replica.
        exponent: 0 is uniform; at least 0. Can vary by replica.
        over: ``examples``: each is drawn independently; ``batches``: the N examples are divided into
            floor(N / batch_size) batches, of which a step draws one.
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
            raise SettingError("over", over, "'examples' or 'batches'")
        check_size("size", size, task, ())
        low, high = (
            (1, zipf_law.LARGEST) if over == "examples" else (self.batch_size, zipf_law.LARGEST * self.batch_size)
        )
        check_whole("size", size, low, high, f"{low} to {high}, of {over}")
        self.size, self.over = size, over
        self.exponent = check_number("exponent", exponent, 0, float("inf"), open_high=True)

    def prepare(self, replicas: Replicas) -> Settings:
        columns = replicas.columns(self.prefix, self)
        ratios = replicas.column(f"{self.prefix}batch_ratio", self.batch_ratio)
        if self.over == "batches" and any(ratio is not None for ratio in ratios):
            raise SettingError(f"{self.prefix}batch_ratio", self.batch_ratio, "null where whole batches are drawn")
        unit = 1 if self.over == "examples" else self.batch_size
        sizes = torch.tensor(columns["size"])
        exponent = torch.tensor(columns["exponent"], dtype=torch.float64)
        return {
            "size": sizes // unit * unit,
            "ranks": sizes // unit,
            "weights": zipf_law.cumulative_weights(sizes // unit, exponent),
        }

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return only_set(settings["size"])

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        key, weights, ranks = draw.key, draw.settings["weights"], draw.settings["ranks"][:, None]
        if self.over == "batches":
            batch = zipf_law.rank(weights, key, draw.step.expand(key.shape[0], 1), ranks)
            return batch * draw.size + torch.arange(draw.size, device=key.device)
        return zipf_law.rank(weights, key, self.positions(draw, draw.step), ranks)
