"""The gradient over a whole population whose inputs are products of halves, without a product for each input.

Where an input is two halves side by side, the first layer's pre-activation w.x + b is u[high] + v[low] with a table of
each half's own, and the gradients with respect to the tables are row and column sums. Nothing but rounding is lost.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.nn import functional as F

from svl.data.reuse import ReuseDataModule
from svl.models.mlp import ACTIVATIONS, MLP
from svl.training import fused_mlp
from svl.training.packing import Packing

# What one call holds of a layer's activations, 16 MB or where there is more memory half a gigabyte; and of outputs and
# targets where the kernel keeps no activations.
_ACTIVATIONS, _ACTIVATIONS_ON_GPU, _OUTPUTS = 2**22, 2**27, 2**20


def supports(network: nn.Module, data: ReuseDataModule) -> bool:
    """Whether the network is an MLP, and the population a product whose inputs no intervention changes."""
    if type(network) is not MLP or any(one.changes_inputs for one in data.interventions.values()):
        return False
    return data.task.halves(torch.device("cpu")) is not None


class Factored:
    """Gradients of a stack of MLPs on some rows of one half, each beside all rows of the other.

    Args:
        data: the strategy.
        network: one plain network, for its shape and activation.
        packing: how its parameters lie in matrices.
        loss: name of the loss.
        means: mean loss and accuracy of one replica's outputs and targets; no weights.
        is_fused: whether the C++ kernel computes this network and loss.
    """

    def __init__(
        self,
        data: ReuseDataModule,
        network: MLP,
        packing: Packing,
        loss: str,
        means: Callable[[Tensor, Tensor, None], tuple[Tensor, Tensor]],
        is_fused: bool,
    ) -> None:
        self.data, self.network, self.packing, self.loss, self.means = data, network, packing, loss, means
        self.is_fused = is_fused and len(network.layers) > 1
        low, high = self._halves(torch.device("cpu"))
        self._sizes = len(low), len(high)

    def parts(self, key: Int[Tensor, "replica 2"]) -> int:
        """Calls that the whole population takes, of as many rows each, for the replicas of these keys."""
        lows, highs = self._sizes
        widest = max(shape[0] for shape in self.packing.shapes.values())
        numbers = _OUTPUTS if self.is_fused else (_ACTIVATIONS_ON_GPU if key.is_cuda else _ACTIVATIONS) // widest
        return _divisor(highs, max(numbers // (len(key) * lows), 1))

    def gradients(
        self, tensors: dict[str, Any], step: Int[Tensor, ""], part: Int[Tensor, ""]
    ) -> tuple[dict[str, Tensor], Float[Tensor, "replica"], Float[Tensor, "replica"]]:
        """What one part adds to each replica's gradients, loss and accuracy."""
        key, params = tensors["key"], self.packing.unpack(tensors["params"])
        parts = self.parts(key)
        low, high = self._halves(key.device)
        count = len(high) // parts
        high = high[part * count + torch.arange(count, device=key.device)]
        index = part * count * len(low) + torch.arange(count * len(low), device=key.device)
        targets = self.data.population_targets(
            tensors["numbers"], tensors["data"], key, step, index.expand(len(key), -1)
        )
        if self.is_fused:
            row, outputs = fused_mlp.population_gradients(self.network, self.loss, params, high, low, targets)
            gradients, (loss, correct) = (
                self.packing.pack_row(row),
                vmap(self.means, (0, 0, None))(outputs[..., None], targets, None),
            )
        else:
            of_replica = vmap(grad_and_value(self._mean_loss, has_aux=True), (0, None, None, 0))
            gradients, (loss, correct) = of_replica(tensors["params"], high, low, targets)
        return {label: gradient / parts for label, gradient in gradients.items()}, loss / parts, correct / parts

    def _halves(self, device: torch.device) -> tuple[Float[Tensor, "low first"], Float[Tensor, "high second"]]:
        halves = self.data.task.halves(device)
        assert halves is not None
        return halves

    def _mean_loss(
        self, packed: dict[str, Tensor], high: Tensor, low: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.means(self._outputs(self.packing.unpack(packed), high, low), targets, None)

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


@functools.cache
def _divisor(count: int, most: int) -> int:
    """Into how few parts of one size, of ``most`` at most, so many can be cut."""
    return next(parts for parts in range(1, count + 1) if count % parts == 0 and count // parts <= most)
