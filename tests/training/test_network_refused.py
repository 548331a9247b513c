"""What a stack cannot train as PyTorch would is refused in one line before training."""

import random as python_random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from svl.data import FullBatch, Online
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import MuP
from svl.optim.initialisation import kept_generators
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import contents

WIDTH = 8


class Net(nn.Module):
    def __init__(self, input_shape, output_dim):
        super().__init__()
        self.first, self.last = nn.Linear(input_shape[0], WIDTH), nn.Linear(WIDTH, output_dim)
        self.build()

    def build(self):
        pass

    def between(self, h):
        return F.relu(h)

    def forward(self, x):
        return self.last(self.between(self.first(x)))


def network(build=None, between=None, forward=None):
    parts = {"build": build, "between": between, "forward": forward}
    return type("Mine", (Net,), {name: part for name, part in parts.items() if part})


def holding(**attributes):
    return network(lambda self: [setattr(self, name, make()) for name, make in attributes.items()])


def count(self, h):
    self.calls += 1
    return h


def share(self):
    self.again = nn.Parameter(self.first.weight.data.T)


def keep(self):
    self.kept = (self.first.weight,)


@torch.no_grad()
def draw_anew(self):
    self.first.weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=(WIDTH, 8))))


def grow(self, h):
    self.seen = torch.cat((self.seen, h.detach().mean(0)))
    return h


REFUSED = {
    "complex": (holding(c=lambda: nn.Parameter(torch.ones(2, dtype=torch.complex64))), "c is complex64"),
    "half": (holding(c=lambda: nn.Parameter(torch.ones(2).half())), "c is float16"),
    "whole numbers": (holding(c=lambda: nn.Parameter(torch.arange(2), requires_grad=False)), "c is int64"),
    "two types": (holding(c=lambda: nn.Parameter(torch.ones(2).double())), "c is float64 and first.weight is float32"),
    "shared memory": (network(share), "first.weight shares that of again"),
    "hidden copies": (
        network(keep, forward=lambda self, x: self.last(F.relu(F.linear(x, self.kept[0], self.first.bias)))),
        "that of first.weight is not",
    ),
    "modules in a list": (
        holding(hidden=lambda: [nn.Linear(2, 2)]),
        "nn.ModuleList or nn.ModuleDict, which hidden is not",
    ),
    "attributes by seed": (holding(f=lambda: torch.randn(2)), "f differs: make it a buffer"),
    "numbers by seed": (holding(f=lambda: [python_random.random()]), "f differs: make it a buffer"),
    "shapes by seed": (holding(f=lambda: nn.Parameter(torch.ones(int(torch.randint(1, 999, ()))))), "f differs"),
    "other generators": (network(draw_anew), "first.weight was not the same when drawn again"),
    "counting in Python": (
        network(lambda self: setattr(self, "calls", 0), count),
        "it changes calls: make it a buffer",
    ),
    "growing buffer": (
        network(lambda self: self.register_buffer("seen", torch.zeros(1)), grow),
        "change.* those of seen",
    ),
    "max norm": (
        network(
            lambda self: setattr(self, "embed", nn.Embedding(2, WIDTH, max_norm=0.1)),
            forward=lambda self, x: self.last(self.embed((x > 0).long()).mean(1)),
        ),
        "it changes embed.weight",
    ),
    "sparse": (holding(embed=lambda: nn.Embedding(2, 2, sparse=True)), "sparse=False in embed"),
    "old weight norm": (holding(layer=lambda: nn.utils.weight_norm(nn.Linear(2, 2))), "use nn.utils.parametrizations"),
    "spectral norm": (
        network(
            lambda self: setattr(self, "layer", nn.utils.parametrizations.spectral_norm(nn.Linear(WIDTH, WIDTH))),
            lambda self, h: self.layer(h),
        ),
        "Batching rule not implemented",
    ),
    "cumulative average": (
        network(lambda self: setattr(self, "norm", nn.BatchNorm1d(WIDTH, momentum=None)), lambda self, h: self.norm(h)),
        r"calling \.item\(\)",
    ),
    "two answers": (
        network(forward=lambda self, x: {"a": self.last(self.first(x)), "b": self.last(self.first(x))}),
        r"one tensor of shape \('batch', 1\)",
    ),
    "nothing to train": (lambda *shape: nn.Flatten(), "a network that has parameters"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(("kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused(lab, kind, reason):
    with pytest.raises(SettingError, match=reason) as error:
        lab.stack(Online(Parity(8, 2), 16, 50), 4, kind)
    assert error.value.key == "model.network"
    assert "\n" not in str(error.value) and len(str(error.value)) < 420


def test_attributes_that_forward_only_keeps_are_let_be(lab):
    def between(self, h):
        self.hidden = h
        return F.relu(h)

    stack = lab.stack(Online(Parity(8, 2), 16, 50), 4, network(lambda self: setattr(self, "hidden", None), between))
    stack.train_steps(0, 4)
    stack.evaluate()


def test_the_global_generators_are_as_they_were(lab):
    # The type checks of the tests draw from Python's.
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    lab.stack(Online(Parity(8, 2), 16, 50), 4, network(lambda self: setattr(self, "drop", nn.Dropout(0.5))))
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    state = python_random.getstate()
    with kept_generators():
        python_random.random()
    assert python_random.getstate() == state


def test_lazy_modules_get_their_shapes_from_the_task_and_their_values_from_the_seed(lab):
    kind = network(lambda self: setattr(self, "first", nn.LazyLinear(WIDTH)))
    stack = lab.stack(Online(Parity(8, 2), 16, 50), 4, kind, replicas=Replicas(2))
    solo = lab.stack(Online(Parity(8, 2), 16, 50), 4, kind, replicas=Replicas(1, first_seed=1))
    weights = stack.parameters_by_name()["first.weight"]
    assert weights.shape == (2, WIDTH, 8)
    assert torch.equal(weights[1], solo.parameters_by_name()["first.weight"][0])
    assert not torch.equal(weights[0], weights[1])


def test_a_parameterisation_has_no_factor_for_a_tied_parameter(lab):
    def build(input_shape, output_dim, width=WIDTH):
        made = MLP(input_shape, output_dim, width, depth=4)
        made.layers[1].weight = made.layers[2].weight
        return made

    with pytest.raises(SettingError, match=r"parameterisation: got 'MuP'; allowed: null: layers\.2\.weight is tied"):
        lab.stack(Online(Parity(8, 2), 16, 50), 4, build, parameterisation=MuP())


def untouched(made):
    return made


def tied(made):
    made.layers[1].weight = made.layers[2].weight
    return made


def hooked(made):
    made.layers[0].register_forward_hook(lambda *_: None)
    return made


def parametrised(made):
    nn.utils.parametrizations.weight_norm(made.layers[0])
    return made


def buffered(made):
    made.register_buffer("constant", torch.ones(1))
    return made


@pytest.mark.parametrize(
    ("change", "is_plain"),
    [(untouched, True), (tied, False), (hooked, False), (parametrised, False), (buffered, False)],
)
def test_kernels_leave_a_changed_network_to_other_routes(change, is_plain):
    made = change(MLP((8,), 1, WIDTH, depth=4))
    assert contents.is_plain(made.layers, made) == is_plain


def drop(self, h):
    return h * 0 if self.training and python_random.random() < 1e-9 else F.relu(h)


def remember(self, h):
    mean = h.detach().mean(0)
    self.average = mean if self.average is None else 0.9 * self.average + 0.1 * mean
    return h - self.average


def test_a_draw_of_python_s_that_two_calls_do_not_show_is_found(lab):
    with pytest.raises(SettingError, match=r"NumPy|random") as caught:
        lab.stack(Online(Parity(8, 2), 16, 50), 4, network(between=drop))
    assert caught.value.key == "model.network"


def test_what_the_first_call_sets_the_second_must_leave(lab):
    kind = network(lambda self: setattr(self, "average", None), remember)
    with pytest.raises(SettingError, match="it changes average: make it a buffer"):
        lab.stack(Online(Parity(8, 2), 16, 50), 4, kind)


def test_a_readout_of_zeros_does_not_hide_that_examples_are_mixed(lab):
    mixing = network(lambda self: nn.init.zeros_(self.last.weight), lambda self, h: h - h.mean(0))
    with pytest.raises(SettingError, match="batch"):
        lab.stack(FullBatch(Parity(8, 3), 64, micro_batch_size=16, test_size=50), 4, mixing)
