"""The base classes of interventions on the gradients, which act between the gradient and the optimizer's update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.replicas import Replicas


class GradientIntervention(ABC):  # noqa: B024 - its two kinds share no method that a subclass must define
    """An intervention under ``model.interventions``, which acts on each replica independently.

    The gradients of all parameters of a replica are one row of numbers; those of frozen parameters are 0. Its
    attributes have the names of its constructor's arguments; those in ``per_replica`` can vary by replica.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        """The settings that the intervention needs, as tensors ``[replica, ...]``; called once, before training."""
        return {name: torch.tensor(column) for name, column in replicas.columns(prefix, self).items()}


class BatchGradientIntervention(GradientIntervention):
    """A pure function of a step's gradient and of a state that is kept from step to step."""

    def state(self, gradient: Float[Tensor, "replica number"]) -> dict[str, Tensor]:
        """The state before the first step, as tensors ``[replica, ...]``."""
        return {}

    @abstractmethod
    def apply(
        self,
        gradient: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        """The gradient that replaces it, and the state after the step."""


class SampleGradientIntervention(GradientIntervention):
    """A pure function that combines the gradients of a step's samples into one gradient."""

    @abstractmethod
    def combine(
        self, gradients: Float[Tensor, "replica batch number"], key: Int[Tensor, "replica 2"], step: Int[Tensor, ""]
    ) -> Float[Tensor, "replica number"]:
        """The step's gradient."""
