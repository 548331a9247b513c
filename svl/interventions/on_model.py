"""The base class of the interventions under ``model.interventions``: those on gradients and those on weights."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor

from svl.replicas import Replicas


class ModelIntervention(ABC):  # noqa: B024 - its kinds share no method that a subclass must define
    """An intervention under ``model.interventions``, which acts on each replica independently.

    Its attributes have the names of its constructor's arguments; those in ``per_replica`` can vary by replica.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        """The settings that the intervention needs, as tensors ``[replica, ...]``; called once, before training."""
        return {name: torch.tensor(column) for name, column in replicas.columns(prefix, self).items()}
