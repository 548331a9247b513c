"""The training dataloader, which yields ranges of steps instead of examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int

if TYPE_CHECKING:
    from torch import Tensor

    from svl.data.reuse import ReuseDataModule


class Steps:
    """Yields ``(first step, number of steps)``; the loader's position is the trainer's step.

    Args:
        data: the strategy, whose run length is fixed.
    """

    def __init__(self, data: ReuseDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return -(-self.data.total_steps // self.data.steps_per_batch)

    def __iter__(self) -> Iterator[Int[Tensor, "2"]]:
        total, chunk = self.data.total_steps, self.data.steps_per_batch
        for start in range(self.data.trainer.global_step if self.data.trainer else 0, total, chunk):
            yield torch.tensor([start, min(chunk, total - start)])
