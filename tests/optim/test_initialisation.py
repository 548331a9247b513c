"""One replica's network before training is a function of its seed alone."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from svl.models import MLP
from svl.optim.initialisation import initial_network

SEEDS = 40


def build():
    return MLP((20,), 1, width=30, depth=3)


def draws(init):
    """The values of each parameter over many seeds."""
    networks = [initial_network(build, seed, init) for seed in range(SEEDS)]
    names = [name for name, _ in networks[0].named_parameters()]
    return {name: torch.stack([n.get_parameter(name).detach() for n in networks]).flatten().numpy() for name in names}


FAN_IN = {"layers.0": 20, "layers.1": 30, "layers.2": 30}


def test_the_default_is_uniform_with_bound_one_over_root_fan_in():
    for name, values in draws("pytorch").items():
        bound = 1 / math.sqrt(FAN_IN[name.rsplit(".", 1)[0]])
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3, name


def test_gaussian_weights_have_variance_one_over_fan_in_and_biases_are_zero():
    for name, values in draws("gaussian").items():
        if name.endswith("bias"):
            assert not values.any()
        else:
            scale = 1 / math.sqrt(FAN_IN[name.rsplit(".", 1)[0]])
            assert stats.kstest(values, stats.norm(0, scale).cdf).pvalue > 1e-3, name


def test_a_gaussian_convolution_counts_its_kernel_in_fan_in_and_gains_stay():
    def network():
        return nn.Sequential(nn.Conv1d(8, 40, kernel_size=5), nn.LayerNorm(7))

    convolution, norm = initial_network(network, 0, "gaussian")
    assert convolution.weight.std().item() == pytest.approx(1 / math.sqrt(40), rel=0.1)
    assert norm.weight.tolist() == [1] * 7 and norm.bias.tolist() == [0] * 7


@pytest.mark.parametrize("init", ["pytorch", "gaussian"])
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 1, 2**62 - 1])
def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(init, seed):
    torch.manual_seed(0)
    first = initial_network(build, seed, init)
    torch.manual_seed(1)
    second = initial_network(build, seed, init)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("init", ["pytorch", "gaussian"])
def test_different_seeds_give_different_weights(init):
    seeds = [0, 1, 2, 2**31, 2**32, 2**32 + 1, 2**61, 2**62 - 1]
    weights = [initial_network(build, seed, init).layers[0].weight.detach().flatten() for seed in seeds]
    correlation = torch.corrcoef(torch.stack(weights)) - torch.eye(len(seeds))
    assert correlation.abs().max() < 0.25  # 600 weights: a standard deviation is 0.04


@pytest.mark.parametrize("init", ["pytorch", "gaussian"])
def test_torch_s_own_generator_is_left_where_it_was(init):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    initial_network(build, 3, init)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(3), expected)


def test_no_gpu_is_seeded(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    initial_network(build, 3)
    assert not seeded
