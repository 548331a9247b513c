"""The multi-layer perceptron against a computation in NumPy."""

import inspect

import numpy as np
import pytest
import torch
from scipy.special import erf, expit

from svl.errors import SettingError
from svl.models import MLP
from svl.models.mlp import ACTIVATIONS

NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * 0.5 * (1 + erf(z / np.sqrt(2))),
    "sigmoid": expit,
    "quadratic": lambda z: z**2 / 2,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_forward_is_the_formula(activation, depth, bias, shape):
    torch.manual_seed(0)
    network = MLP(shape, 2, width=5, depth=depth, activation=activation, bias=bias).double()
    x = torch.randn(7, *shape, dtype=torch.float64)
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    h = x.numpy().reshape(7, -1)
    for layer in range(depth):
        h = h @ weights[f"layers.{layer}.weight"].T + weights.get(f"layers.{layer}.bias", 0)
        h = NUMPY[activation](h) if layer < depth - 1 else h
    np.testing.assert_allclose(network(x).detach().numpy(), h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_have_the_documented_names_and_shapes(bias):
    network = MLP((3, 4), 2, width=5, depth=3, bias=bias)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    weights = {"layers.0.weight": (5, 12), "layers.1.weight": (5, 5), "layers.2.weight": (2, 5)}
    biases = {"layers.0.bias": (5,), "layers.1.bias": (5,), "layers.2.bias": (2,)}
    assert shapes == weights | (biases if bias else {})
    # Patterns and norm ratios rely on layers coming in order.
    assert [name for name in shapes if name.endswith("weight")] == list(weights)


def test_the_default_is_the_paper_s_two_layer_network_of_width_64():
    network = MLP((20,), 1)
    assert [tuple(p.shape) for p in network.parameters()] == [(64, 20), (64,), (1, 64), (1,)]
    assert network.activation == "relu"


@pytest.mark.parametrize(
    ("name", "value", "allowed"), [("width", 0, "at least 1"), ("depth", 0, "at least 1"), ("depth", -2, "at least 1")]
)
def test_sizes_below_one_are_refused(name, value, allowed):
    with pytest.raises(SettingError, match=rf"^{name}: got {value}; allowed: {allowed}"):
        MLP((6,), 1, **{name: value})


def test_an_unknown_activation_is_refused_with_the_known_ones():
    past_the_import_hook = inspect.unwrap(MLP.__init__)
    with pytest.raises(SettingError, match=r"^activation: got 'tanh'; allowed: relu, gelu"):
        past_the_import_hook(MLP.__new__(MLP), (6,), 1, activation="tanh")
