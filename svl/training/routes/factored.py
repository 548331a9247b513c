"""The gradient over a whole population whose inputs are all pairs of two half inputs, without a product for each input.

The first layer's pre-activation w.x + b of a pair is u[high] + v[low], with a table for each half, and the gradients
with respect to the tables are row and column sums. The result equals that of other routes up to rounding.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.nn import functional as F

from svl.data.draw import Draw
from svl.data.reuse import ReuseDataModule
from svl.models.mlp import ACTIVATIONS, MLP
from svl.training.blocks import StepRange
from svl.training.contents import is_plain
from svl.training.routes.route import GradientRoute, Gradients, Tensors
from svl.training.spec import StackSpec

# What one call holds of a layer's activations: 16 MB, or half a gigabyte where there is more memory.
_ACTIVATIONS, _ACTIVATIONS_ON_GPU = 2**22, 2**27


class FactoredPopulation(GradientRoute):
    """Gradients of MLPs on the whole population, by outer sums of the two halves' pre-activations.

    A call takes some rows of one half, each combined with all rows of the other.
    """

    name = "outer sums over the population"
    for_long_fits = True

    def __init__(self, spec: StackSpec) -> None:
        super().__init__(spec)
        self.network: Any = spec.network
        low, high = self._halves(torch.device("cpu"))
        self._sizes = len(low), len(high)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        if spec.data.streams or spec.sampler:
            return "streams and the samples' own gradients need the examples"
        if not spec.execution.fused:
            return "model.fused is false"
        if spec.execution.precision == "bf16-mixed":
            return f"it computes in float32, and model.precision is {spec.execution.precision}"
        if spec.team.divides_batches:
            return "each device has a part of every batch"
        if supports(spec.network, spec.data):
            return None
        return "it computes MLPs on populations of products, such as parity's, whose inputs no intervention changes"

    def calls(self, steps: StepRange, replicas: int, device: torch.device) -> int:
        return self.parts(replicas, device)

    def parts(self, replicas: int, device: torch.device) -> int:
        """The number of calls for the whole population, each with equally many rows of the half ``high``."""
        lows, highs = self._sizes
        widest = max(shape[0] for shape in self.spec.packing.shapes.values())
        return _divisor(highs, max(self._numbers_at_once(device, widest) // (replicas * lows), 1))

    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        """What one part of the population adds to each replica's gradients, loss and accuracy."""
        params = self.spec.packing.unpack(tensors["params"])
        parts = self.parts(len(draw.key), draw.key.device)
        low, high = self._halves(draw.key.device)
        count = len(high) // parts
        high = high[draw.micro * count + torch.arange(count, device=draw.key.device)]
        index = draw.micro * count * len(low) + torch.arange(count * len(low), device=draw.key.device)
        targets = self.spec.data.population_targets(draw, index.expand(len(draw.key), -1))
        gradients, loss, correct, _ = self.of_rows(tensors["params"], params, (high, low), targets)
        shares = {label: gradient / parts for label, gradient in gradients.items()}
        return Gradients(shares, loss / parts, correct / parts)

    def of_rows(
        self, packed: dict[str, Tensor], params: dict[str, Tensor], halves: tuple[Tensor, Tensor], targets: Tensor
    ) -> Gradients:
        """Gradients of the mean over the product of two tables of half inputs.

        Args:
            packed: the matrices of parameters.
            params: the same, by name.
            halves: tables ``[high, second]`` and ``[low, first]``.
            targets: ``[replica, high * low]``.
        """
        of_replica = vmap(grad_and_value(self._mean_loss, has_aux=True), (0, None, None, 0))
        gradients, (loss, correct) = of_replica(packed, *halves, targets)
        return Gradients(gradients, loss, correct)

    def _numbers_at_once(self, device: torch.device, widest: int) -> int:
        """Inputs whose activations one call holds."""
        return (_ACTIVATIONS_ON_GPU if device.type == "cuda" else _ACTIVATIONS) // widest

    def _halves(self, device: torch.device) -> tuple[Float[Tensor, "low first"], Float[Tensor, "high second"]]:
        halves = self.spec.data.task.halves(device)
        assert halves is not None
        return halves

    def _mean_loss(
        self, packed: dict[str, Tensor], high: Tensor, low: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        outputs = self._outputs(self.spec.packing.unpack(packed), high, low)
        return self.spec.objective.mean(outputs, targets, None)

    def _outputs(
        self, params: dict[str, Tensor], high: Float[Tensor, "high second"], low: Float[Tensor, "low first"]
    ) -> Float[Tensor, "high_low output"]:
        first, second = params["layers.0.weight"].split([low.shape[1], high.shape[1]], dim=1)
        rows, columns = F.linear(high, second, params.get("layers.0.bias")), F.linear(low, first)
        x = (rows[:, None] + columns).flatten(0, 1)
        for number in range(1, len(self.network.layers)):
            x = ACTIVATIONS[self.network.activation](x)
            x = F.linear(x, params[f"layers.{number}.weight"], params.get(f"layers.{number}.bias"))
        return x


def supports(network: nn.Module, data: ReuseDataModule) -> bool:
    """Whether the network is an MLP, and the population a product whose inputs no intervention changes."""
    if type(network) is not MLP or any(part.changes_inputs for part in data.interventions.values()):
        return False
    layers: Any = network.layers
    if not is_plain(layers, network):
        return False
    return data.task.halves(torch.device("cpu")) is not None


@functools.cache
def _divisor(count: int, most: int) -> int:
    """The smallest number of equal parts into which ``count`` can be divided, each of at most ``most``."""
    return next(parts for parts in range(1, count + 1) if count % parts == 0 and count // parts <= most)
