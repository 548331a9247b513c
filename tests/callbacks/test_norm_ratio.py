"""The norm ratio equals that of NumPy's matrices."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from callbacks import NormRatio
from svl.errors import SettingError


def module(**parameters):
    return SimpleNamespace(stack=SimpleNamespace(parameters_by_name=lambda: parameters))


@given(replicas=st.integers(1, 5), widths=st.lists(st.integers(1, 7), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_it_is_the_last_frobenius_norm_over_the_first_biases_aside(replicas, widths, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(replicas, b, a, generator=generator) for a, b in itertools.pairwise(widths)]
    parameters = {}
    for number, weight in enumerate(weights):
        parameters[f"layers.{number}.weight"] = weight
        parameters[f"layers.{number}.bias"] = torch.randn(replicas, weight.shape[1], generator=generator)
    measured = NormRatio.measure.__wrapped__(NormRatio(), module(**parameters))
    expected = np.linalg.norm(weights[-1].numpy(), axis=(1, 2)) / np.linalg.norm(weights[0].numpy(), axis=(1, 2))
    assert list(measured) == list(NormRatio.metrics)
    np.testing.assert_allclose(measured["norm_ratio"].numpy(), expected, rtol=1e-6)


def test_a_network_without_matrices_has_none():
    with pytest.raises(SettingError, match=r"trainer\.callbacks"):
        NormRatio.measure.__wrapped__(NormRatio(), module(scale=torch.ones(3, 4)))
