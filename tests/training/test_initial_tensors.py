"""What is drawn without building equals what a network's constructor draws, and everything else is built."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from svl.models import MLP, ConvNet, Transformer
from svl.optim.initialisation import initial_network
from svl.training.contents import tensors
from svl.training.initial_tensors import InitialTensors


class Counted:
    """Builds the network of a seed, and counts how many it builds."""

    def __init__(self, make, init="pytorch"):
        self.make, self.init, self.count = make, init, 0

    def __call__(self, seed, watch=None):
        self.count += 1
        return initial_network(self.make, seed, self.init, watch)


class Scaled(nn.Module):
    """Computes with what it has drawn."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        with torch.no_grad():
            self.layer.weight.div_(self.layer.weight.norm())


class ByNumpy(nn.Module):
    """Draws by NumPy."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.random.standard_normal(3)).float())  # noqa: NPY002


class Rejecting(nn.Module):
    """Draws again until it likes what it has drawn."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2))
        with torch.no_grad():
            while self.weight.normal_()[0] < 0.5:
                pass


class Rarely(nn.Module):
    """A buffer that differs in the last of 30 seeds alone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("sign", torch.sign(torch.randn(1)))


class Truncated(nn.Module):
    """A draw that is changed in place, number by number, and a constant."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5, 4))
        self.register_buffer("count", torch.arange(3))
        nn.init.trunc_normal_(self.weight, std=0.02)
        self.scale = nn.Parameter(torch.ones(4))


DRAWN = {
    "mlp": (partial(MLP, (20,), 1), "pytorch"),
    "gaussian": (partial(MLP, (20,), 1, depth=3), "gaussian"),
    "no bias": (partial(MLP, (20,), 1, bias=False), "pytorch"),
    "transformer": (partial(Transformer, (20,), 1, width=16, heads=2), "pytorch"),
    "conv": (partial(ConvNet, (1, 8, 8), 10), "pytorch"),
    "norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.BatchNorm1d(3)), "pytorch"),
    "truncated": (Truncated, "pytorch"),
}
BUILT = {"scaled": Scaled, "numpy": ByNumpy, "rejecting": Rejecting, "rarely": Rarely}


def assert_equal_to_the_constructor(made, build, seeds):
    for place, seed in enumerate(seeds):
        for name, value in tensors(build(seed)).items():
            assert torch.equal(made.stacked(name)[place], value), (name, seed)


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_tensors_are_those_of_the_constructor_bit_for_bit(name):
    build, seeds = Counted(*DRAWN[name]), range(5, 35)
    made = InitialTensors(build, seeds, "network")
    assert made.is_drawn and build.count <= 9 and made.differing == ()
    assert_equal_to_the_constructor(made, build, seeds)


@pytest.mark.parametrize("name", BUILT)
def test_networks_that_do_more_than_draw_are_built(name):
    build, seeds = Counted(BUILT[name]), range(30)
    made = InitialTensors(build, seeds, "network")
    assert not made.is_drawn and build.count >= 30
    assert made.differing == (("sign",) if name == "rarely" else ())
    assert_equal_to_the_constructor(made, build, seeds)


def test_the_number_of_networks_that_are_built_does_not_grow_with_the_stack(lab, monkeypatch):
    counts = []
    for seeds in (100, 2000):
        count = [0]

        def network(shape, output, count=count):
            count[0] += 1
            return MLP(shape, output, width=4)

        stack = lab.stack(network=network, replicas=lab.replicas(seeds))
        counts.append(count[0])
        lab.assert_replica_is(stack, seeds - 1, lab.plain_network(stack.data.task, seeds - 1, network), 0, 0)
    assert counts[0] == counts[1]
