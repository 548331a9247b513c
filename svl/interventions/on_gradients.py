"""What an intervention on the gradients is: a change between the batch's gradient and the optimizer's update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.replicas import Replicas


class GradientIntervention(ABC):  # noqa: B024 - its two kinds have nothing in common that they would write
    """What stands under ``model.interventions``; it acts on each replica by itself.

    All parameters of a replica lie in one row of numbers; the gradients of frozen ones are 0. Its attributes have the
    names of its constructor's arguments; those in ``per_replica`` can vary by replica.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        """The settings that the intervention needs, as tensors ``[replica, ...]``; called once, before training."""
        return {name: torch.tensor(column) for name, column in replicas.columns(prefix, self).items()}


class BatchGradientIntervention(GradientIntervention):
    """A pure function of a step's gradient and of what it remembers."""

    def state(self, gradient: Float[Tensor, "replica number"]) -> dict[str, Tensor]:
        """What is remembered from step to step, as tensors ``[replica, ...]``, before the first."""
        return {}

    @abstractmethod
    def apply(
        self,
        gradient: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        """The gradient to use instead, and the state after the step."""


class SampleGradientIntervention(GradientIntervention):
    """A pure function of the gradients of a step's samples, which makes one gradient of them."""

    @abstractmethod
    def combine(
        self, gradients: Float[Tensor, "replica batch number"], key: Int[Tensor, "replica 2"], step: Int[Tensor, ""]
    ) -> Float[Tensor, "replica number"]:
        """The step's gradient."""
