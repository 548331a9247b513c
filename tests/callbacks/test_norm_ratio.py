"""The norm ratio equals that of NumPy's matrices."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from svl.callbacks import NormRatio
from svl.errors import SettingError


def module(parameters):
    """A module whose stack has these parameters, by name or as pairs where some are tied."""
    network = nn.Module()
    tied = {}
    for name, value in parameters.items():
        owner, _, last = name.rpartition(".")
        place = network
        for part in filter(None, owner.split(".")):
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(last, tied.setdefault(id(value), nn.Parameter(value)))
    return SimpleNamespace(stack=SimpleNamespace(network=network))


def ratio(parameters, **layers):
    return NormRatio.measure.__wrapped__(NormRatio(**layers), module(parameters))["norm_ratio"]


@given(replicas=st.integers(1, 5), widths=st.lists(st.integers(1, 7), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_it_is_the_last_frobenius_norm_over_the_first_biases_aside(replicas, widths, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(replicas, b, a, generator=generator) for a, b in itertools.pairwise(widths)]
    parameters = {}
    for number, weight in enumerate(weights):
        parameters[f"layers.{number}.weight"] = weight
        parameters[f"layers.{number}.bias"] = torch.randn(replicas, weight.shape[1], generator=generator)
    measured = ratio(parameters)
    expected = np.linalg.norm(weights[-1].numpy(), axis=(1, 2)) / np.linalg.norm(weights[0].numpy(), axis=(1, 2))
    np.testing.assert_allclose(measured.numpy(), expected, rtol=1e-6)


def test_a_network_without_matrices_has_none():
    with pytest.raises(SettingError, match=r"trainer\.callbacks"):
        ratio({"scale": torch.ones(3, 4)})


def test_positions_belong_to_no_layer():
    tokens = torch.full((2, 5, 3), 2.0)
    parameters = {"positions": torch.zeros(2, 4, 3), "tokens.weight": tokens, "mix.weight": torch.ones(2, 3, 3)}
    parameters["head.weight"] = tokens
    np.testing.assert_allclose(ratio(parameters).numpy(), [1, 1])
    np.testing.assert_allclose(ratio(parameters, first="mix.*").numpy(), [2 * (15 / 9) ** 0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(
        ratio(parameters, first="tokens.weight", last="mix.weight").numpy(), [0.6**0.5 / 2] * 2, rtol=1e-6
    )
    np.testing.assert_allclose(ratio(parameters, first="head.weight", last="positions").numpy(), [0, 0])


def test_a_network_whose_only_matrices_are_its_own_has_a_ratio():
    np.testing.assert_allclose(ratio({"w": torch.ones(2, 4, 3), "v": torch.ones(2, 1, 3)}).numpy(), [0.5, 0.5])


@pytest.mark.parametrize("pattern", ["nothing", "*.weight"])
def test_a_name_must_be_that_of_one_parameter(pattern):
    with pytest.raises(SettingError, match=r"NormRatio\.first: got .*; allowed: one of a\.weight, b\.weight"):
        ratio({"a.weight": torch.ones(1, 2, 2), "b.weight": torch.ones(1, 2, 2)}, first=pattern)
