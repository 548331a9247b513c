"""Label noise: a fraction of the training examples has a wrong label."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from svl import random
from svl.checks import check_number
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention

if TYPE_CHECKING:
    from svl.data.reuse import ReuseDataModule


class LabelNoise(DataIntervention):
    """Gives a fraction of the training examples a wrong label, drawn uniformly from the others; signs are flipped.

    An example has the same label each time it is used.

    Args:
        rate: probability of a wrong label, 0 to 1; (c - 1) / c makes c labels uniform. Can vary by replica.

    Raises:
        SettingError: for a rate out of range, or a task without discrete labels.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"rate"})

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = check_number("rate", rate, 0, 1)

    def check(self, key: str, data: ReuseDataModule) -> None:
        if data.task.label_count is None:
            name = type(data.task).__name__
            raise SettingError(key, "LabelNoise", f"tasks with discrete labels, one an example, unlike {name}")

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        count = batch.task.label_count
        assert count is not None
        key = random.fold(batch.key, "label noise")[:, None]
        is_wrong = random.uniform(random.bits(key, batch.index)[0]) < settings["rate"][:, None]
        targets = batch.targets
        if targets.is_floating_point():
            wrong = -targets
        else:
            wrong = (targets + 1 + random.integers(random.bits(key, batch.index, 1), count - 1)) % count
        return batch.inputs, torch.where(is_wrong, wrong, targets)
