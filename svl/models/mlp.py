"""The multi-layer perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl.checks import check_choice
from svl.errors import SettingError

Activation = Literal["relu", "gelu", "sigmoid", "quadratic"]


def quadratic(x: Tensor) -> Tensor:
    """sigma(z) = z^2 / 2 (Liu et al. 2026, section 4.2)."""
    return 0.5 * x * x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "sigmoid": torch.sigmoid,
    "quadratic": quadratic,
}


class MLP(nn.Module):
    """A multi-layer perceptron without residual connections.

    Parameters: ``layers.0.weight``, ``layers.0.bias``, ``layers.1.weight``, ...

    Source: Liu et al. 2026, section 3: ReLU, width 64; depth counts layers of weights, so depth 2 has one hidden layer.

    Args:
        input_shape: shape of one input, which is flattened.
        output_dim: number of outputs.
        width: units in each hidden layer.
        depth: layers of weights, at least 1.
        activation: ``relu``, ``gelu``, ``sigmoid`` or ``quadratic``, after every layer except the last.
        bias: whether the layers have biases.

    Raises:
        SettingError: for a width or depth below 1 or an unknown activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        output_dim: int,
        width: int = 64,
        depth: int = 2,
        activation: Activation = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if width < 1:
            raise SettingError("width", width, "at least 1")
        if depth < 1:
            raise SettingError("depth", depth, "at least 1")
        check_choice("activation", activation, ACTIVATIONS)
        dims = [math.prod(input_shape), *[width] * (depth - 1), output_dim]
        self.activation = activation
        self.input_axes = len(input_shape)
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(dims))

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch output"]:
        """Outputs for a batch of inputs ``[batch, *input_shape]``."""
        x = x.flatten(-self.input_axes)
        for layer in self.layers[:-1]:
            x = ACTIVATIONS[self.activation](layer(x))
        return self.layers[-1](x)
