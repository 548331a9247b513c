"""The base class of interventions on the weights, which act after the optimizer's update."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float, Int
from torch import Tensor

from svl.interventions.on_model import ModelIntervention


class WeightIntervention(ModelIntervention):
    """A pure function of the weights after a step and of a state that is kept from step to step.

    The parameters of a replica are one row of numbers. Those of frozen parameters stay as they are, whatever it
    returns, and so does a replica that has diverged.
    """

    def state(self, weights: Float[Tensor, "replica number"]) -> dict[str, Tensor]:
        """The state before the first step, as tensors ``[replica, ...]``, from the initial weights."""
        return {}

    @abstractmethod
    def apply(
        self,
        weights: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        """The weights that replace those after a step, and the state after the step."""

    def averages(self, state: dict[str, Tensor]) -> Float[Tensor, "replica number"] | None:
        """Other weights of each replica to measure, beside those that are trained; ``None`` if there are none."""
        return None
