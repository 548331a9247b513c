"""The convolutional network against SciPy's correlation."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from scipy.special import erf
from torch import nn

from svl.errors import SettingError
from svl.models import ConvNet


def gelu(z):
    return z * 0.5 * (1 + erf(z / np.sqrt(2)))


def convolution(images, weight, bias, stride):
    """Channels are summed by a correlation over them too; zeros stand around the image."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = [[correlate(image, kernel, "valid")[0] for kernel in weight] for image in padded]
    return np.array(maps)[:, :, ::stride, ::stride] + bias[:, None, None]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (2, 1, 4)])
def test_forward_is_the_formula(shape):
    torch.manual_seed(0)
    network = ConvNet(shape, 4, channels=3).double()
    x = torch.randn(5, *shape, dtype=torch.float64)
    p = {name: value.detach().numpy() for name, value in network.named_parameters()}
    h = gelu(convolution(x.numpy(), p["first.weight"], p["first.bias"], 1))
    h = gelu(convolution(h, p["second.weight"], p["second.bias"], 2))
    expected = h.reshape(5, -1) @ p["readout.weight"].T + p["readout.bias"]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_parameters_have_the_documented_names_and_shapes():
    network = ConvNet((1, 8, 8), 10)
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == {
        "first.weight": (8, 1, 3, 3),
        "first.bias": (8,),
        "second.weight": (16, 8, 3, 3),
        "second.bias": (16,),
        "readout.weight": (10, 256),
        "readout.bias": (10,),
    }
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


@pytest.mark.parametrize(
    ("shape", "channels", "key", "allowed"),
    [
        ((64,), 8, "input_shape", r"images \(channel, height, width\)"),
        ((1, 1, 8, 8), 8, "input_shape", r"images \(channel, height, width\)"),
        ((1, 8, 8), 0, "channels", "at least 1"),
    ],
)
def test_what_it_cannot_be_built_from_is_refused(shape, channels, key, allowed):
    with pytest.raises(SettingError, match=rf"^{key}: got .*; allowed: .*{allowed}"):
        ConvNet(shape, 10, channels)
