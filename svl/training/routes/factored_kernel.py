"""The gradient over a whole population of products, by the C++ kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from svl import native
from svl.training.routes.factored import FactoredPopulation
from svl.training.routes.mlp_kernel import MLPKernel, population_gradients, variant
from svl.training.routes.route import Gradients
from svl.training.spec import StackSpec

_OUTPUTS = 2**20  # what one call holds of outputs and targets


class FactoredKernel(FactoredPopulation):
    """The same outer sums by the C++ kernel, which keeps no activation."""

    name = "C++ kernel over the population"

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        network: Any = spec.network
        if obstacle := FactoredPopulation.obstacle(spec, device) or MLPKernel.misfit(spec, device):
            return obstacle
        if len(network.layers) == 1:
            return "it needs a hidden layer"
        is_there = native.is_available("population", variant(network.activation))
        return None if is_there else "it could not be built by a C++ compiler"

    def of_rows(
        self, packed: dict[str, Tensor], params: dict[str, Tensor], halves: tuple[Tensor, Tensor], targets: Tensor
    ) -> Gradients:
        objective = self.spec.objective
        row, outputs = population_gradients(self.network, objective.loss, params, *halves, targets)
        loss, correct = vmap(objective.mean, (0, 0, None))(outputs[..., None], targets, None)
        return Gradients(self.spec.packing.pack_row(row), loss, correct)

    def _numbers_at_once(self, device: torch.device, widest: int) -> int:
        return _OUTPUTS
