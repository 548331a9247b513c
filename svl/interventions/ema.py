"""An exponential moving average of the weights."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.interventions.on_weights import WeightIntervention
from svl.replicas import broadcast_to


class EMA(WeightIntervention):
    """Keeps an exponential moving average of each replica's weights; training itself does not change.

    a <- decay a + (1 - decay) p after every step, where a is p itself after the first one, as in
    ``torch.optim.swa_utils.AveragedModel``. The callback ``AveragedWeights`` measures the network with the averages
    as its weights.

    Args:
        decay: in [0, 1); the average is over about 1 / (1 - decay) steps. Can vary by replica.

    Raises:
        SettingError: for a decay out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"decay"})

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = check_number("decay", decay, 0, 1, open_high=True)

    def state(self, weights: Float[Tensor, "replica number"]) -> dict[str, Tensor]:
        return {"average": weights.clone()}

    def apply(
        self,
        weights: Float[Tensor, "replica number"],
        settings: dict[str, Tensor],
        state: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        share = torch.where(step == 0, 1.0, 1 - settings["decay"].double())
        return weights, {"average": torch.lerp(state["average"], weights, broadcast_to(share, weights))}

    def averages(self, state: dict[str, Tensor]) -> Float[Tensor, "replica number"]:
        return state["average"]
