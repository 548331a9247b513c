"""The base of callbacks that measure something of every replica."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import lightning.pytorch as pl
from jaxtyping import Float
from torch import Tensor

from svl.training.replica_module import ReplicaModule


class Measurement(pl.Callback, ABC):
    """Adds columns to the history: :meth:`measure` is called every ``trainer.log_every_n_steps`` steps and at step 0.

    Attributes:
        metrics: names of the columns.
    """

    metrics: ClassVar[tuple[str, ...]]

    @abstractmethod
    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        """The metrics by name, one number per replica."""
