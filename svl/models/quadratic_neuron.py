"""One quadratic neuron with projected updates."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl.checks import check_whole
from svl.models.mlp import quadratic


class QuadraticNeuron(nn.Module):
    """One quadratic neuron, f(x) = a (w.x)^2 / 2 - 1; after each update a is clipped to [-1, 1] and w normalised.

    Initially w is uniform on the unit sphere and a ~ N(0, 1/width). With the correlation loss the neurons of a wider
    network do not interact, so one neuron stands for all of them.

    Source: Liu et al. 2026, section 4.2, equation 1.

    Args:
        input_shape: shape of one input, which is flattened.
        output_dim: must be 1.
        width: width m of the network that the neuron belongs to; sets the size of the initial a.

    Raises:
        SettingError: for a width below 1 or more than one output.
    """

    def __init__(self, input_shape: tuple[int, ...], output_dim: int, width: int = 1024) -> None:
        super().__init__()
        check_whole("width", width, 1)
        check_whole("output_dim", output_dim, 1, 1, "a task with one output: the network is one neuron")
        self.input_axes = len(input_shape)
        direction = torch.randn(math.prod(input_shape))
        self.w = nn.Parameter(direction / direction.norm())
        self.a = nn.Parameter(torch.randn(()) / math.sqrt(width))

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch 1"]:
        """Outputs for a batch of inputs ``[batch, *input_shape]``."""
        return (self.a * quadratic(x.flatten(-self.input_axes) @ self.w) - 1)[..., None]

    def project(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parameters projected onto |w| = 1 and -1 <= a <= 1; called after every update."""
        a, w = parameters["a"], parameters["w"]
        return {"w": w / w.norm(), "a": a.clamp(-1, 1)}
