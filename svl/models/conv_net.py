"""A small convolutional network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from svl.checks import check_whole
from svl.errors import SettingError


class ConvNet(nn.Module):
    """Two 3 x 3 convolutions with GELU, the second with stride 2, followed by a linear layer on all their outputs.

    Parameters: ``first``, ``second`` and ``readout``, each with a weight and a bias. There is no BatchNorm: with its
    running statistics a network's outputs would depend on more than its parameters.

    Args:
        input_shape: (channel, height, width).
        output_dim: number of outputs.
        channels: channels of the first convolution; the second has twice as many.

    Raises:
        SettingError: for inputs that are not images, or ``channels`` below 1.
    """

    def __init__(self, input_shape: tuple[int, ...], output_dim: int, channels: int = 8) -> None:
        super().__init__()
        check_whole("channels", channels, 1)
        if len(input_shape) != 3:
            allowed = "a task whose inputs are images (channel, height, width); for a Dataset, set shape"
            raise SettingError("input_shape", f"inputs {tuple(input_shape)}", allowed)
        colours, height, width = input_shape
        self.first = nn.Conv2d(colours, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.readout = nn.Linear(2 * channels * -(-height // 2) * -(-width // 2), output_dim)

    def forward(self, x: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch output"]:
        """Outputs for a batch of images."""
        x = F.gelu(self.first(x))
        x = F.gelu(self.second(x))
        outputs: Tensor = self.readout(torch.flatten(x, -3))
        return outputs
