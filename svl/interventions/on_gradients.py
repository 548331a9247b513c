"""The base classes of interventions on the gradients, which act between the gradient and the optimizer's update."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float, Int
from torch import Tensor

from svl.interventions.on_model import ModelIntervention


class GradientIntervention(ModelIntervention):
    """An intervention on the gradients of each replica.

    The gradients of all parameters of a replica are one row of numbers; those of frozen parameters are 0.
    """


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
