"""A replica of any network that is not refused equals a plain PyTorch loop, and its solo run."""

import dataclasses
import random as python_random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from svl.data import Online
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity

STEPS, BATCH, WIDTH = 4, 16, 8
TASK = Parity(8, 2)


class Net(nn.Module):
    """A linear layer, what a subclass puts between, and a linear layer."""

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


def with_layer(make, name="Around"):
    """A network with a module between its layers."""
    return type(
        name, (Net,), {"build": lambda self: setattr(self, "layer", make()), "between": lambda self, h: self.layer(h)}
    )


class Frozen(Net):
    def build(self):
        self.first.requires_grad_(False)


class Tied(Net):
    def build(self):
        self.mix, self.again = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.again.weight = self.mix.weight

    def between(self, h):
        return F.relu(self.again(torch.tanh(self.mix(h))))


class Counts(Net):
    """Case 16: a buffer that forward changes, and that changes what it returns."""

    def build(self):
        self.register_buffer("calls", torch.zeros(1))

    def between(self, h):
        self.calls += 1
        return F.relu(h) * (1 + 0.1 * torch.cos(self.calls))


class Average(Net):
    """A buffer that is replaced, in training alone, and that is not in the state_dict."""

    def build(self):
        self.register_buffer("average", torch.zeros(WIDTH), persistent=False)

    def between(self, h):
        if self.training:
            self.average = 0.9 * self.average + 0.1 * h.detach().mean(0)
        return F.relu(h - self.average)


class Constants(Net):
    """A buffer, an attribute and a list of tensors that are the same for every seed."""

    def build(self):
        self.register_buffer("mask", torch.arange(WIDTH) % 2 == 0)
        self.scale, self.shifts = torch.arange(WIDTH) / 4, [torch.ones(WIDTH)]

    def between(self, h):
        return F.relu(h).masked_fill(self.mask, 0.5) * self.scale + self.shifts[0]


class RandomFeatures(Net):
    """A buffer that differs by seed."""

    def build(self):
        self.register_buffer("frequencies", torch.randn(WIDTH))

    def between(self, h):
        return torch.cos(h * self.frequencies)


class OwnDraws(Net):
    """Initial values from NumPy's and Python's global generators."""

    @torch.no_grad()
    def build(self):
        self.first.weight.copy_(torch.from_numpy(np.random.randn(*self.first.weight.shape)) * 0.3)  # noqa: NPY002
        self.first.bias.fill_(python_random.random())


class InPlace(Net):
    def forward(self, x):
        x *= 0.5
        return super().forward(x)


class Recurrent(Net):
    kind, settings = nn.LSTM, {"num_layers": 2}

    def build(self):
        self.layer = self.kind(1, WIDTH, batch_first=True, **self.settings)

    def forward(self, x):
        return self.last(self.layer(x[..., None])[0][:, -1])


class GRU(Recurrent):
    kind = nn.GRU


class Elman(Recurrent):
    kind, settings = nn.RNN, {"nonlinearity": "relu"}


class Encoder(Net):
    def build(self):
        self.embed = nn.Linear(1, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.last(self.layer(self.embed(x[..., None])).mean(1))


class Convolution(Net):
    mode = "circular"

    def build(self):
        self.layer = nn.Conv2d(1, WIDTH, 3, padding=1, padding_mode=self.mode)

    def forward(self, x):
        return self.last(torch.relu(self.layer(x.view(len(x), 1, 2, -1))).mean((2, 3)))


class Padded(Net):
    """The row of padding_idx gets no gradient."""

    def build(self):
        self.embed = nn.Embedding(3, WIDTH, padding_idx=0)

    def forward(self, x):
        return self.last(self.embed((x > 0).long()).mean(1))


class Lists(Net):
    def build(self):
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(WIDTH)) for _ in range(2)])
        self.scale = nn.ParameterDict({"all": nn.Parameter(torch.ones(()))})

    def between(self, h):
        return F.relu(h * self.weights[0] + self.weights[1]) * self.scale["all"]


@dataclasses.dataclass
class Output:
    hidden: torch.Tensor
    logits: torch.Tensor


class Returns(Net):
    """What a network returns beside its outputs is left out."""

    wrap = staticmethod(lambda hidden, outputs: Output(hidden, outputs))

    def forward(self, x):
        hidden = torch.relu(self.first(x))
        return self.wrap(hidden, self.last(hidden))


class ReturnsTuple(Returns):
    wrap = staticmethod(lambda hidden, outputs: (hidden, outputs, outputs.detach()))


class ReturnsDict(Returns):
    wrap = staticmethod(lambda hidden, outputs: {"hidden": hidden, "scores": outputs})


def outputs_of(result):
    if isinstance(result, tuple):
        return result[1]
    if isinstance(result, dict):
        return result["scores"]
    return getattr(result, "logits", result)


KINDS = {
    "frozen": Frozen,
    "tied": Tied,
    "counter": Counts,
    "average": Average,
    "constants": Constants,
    "constants by seed": RandomFeatures,
    "numpy and random": OwnDraws,
    "input in place": InPlace,
    "LSTM": Recurrent,
    "GRU": GRU,
    "RNN": Elman,
    "bidirectional": type(
        "Bidirectional", (Recurrent,), {"settings": {"bidirectional": True, "proj_size": WIDTH // 2}}
    ),
    "encoder layer": Encoder,
    "padding idx": Padded,
    "parameter lists": Lists,
    "dataclass": Returns,
    "tuple": ReturnsTuple,
    "mapping": ReturnsDict,
    "batch norm": with_layer(lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), nn.ReLU())),
    "batch statistics": with_layer(lambda: nn.Sequential(nn.BatchNorm1d(WIDTH, track_running_stats=False), nn.ReLU())),
    "instance norm": with_layer(
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, WIDTH)), nn.InstanceNorm1d(1, affine=True, track_running_stats=True), nn.Flatten()
        )
    ),
    "norms": with_layer(
        lambda: nn.Sequential(nn.GroupNorm(2, WIDTH), nn.LayerNorm(WIDTH), nn.RMSNorm(WIDTH), nn.PReLU())
    ),
    "weight norm": with_layer(lambda: nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH))),
    "orthogonal": with_layer(lambda: nn.utils.parametrizations.orthogonal(nn.Linear(WIDTH, WIDTH))),
    "relu in place": with_layer(lambda: nn.ReLU(inplace=True)),
    **{mode: type("Mode", (Convolution,), {"mode": mode}) for mode in ("circular", "replicate", "reflect")},
    **{kind.__name__: with_layer(kind) for kind in (nn.Tanh, nn.SiLU, nn.Mish, nn.ELU, nn.Softplus, nn.Hardswish)},
    "tanh GELU": with_layer(lambda: nn.GELU(approximate="tanh")),
}


def stack_of(lab, kind, **settings):
    rule = SGD(0.1, momentum=0.9, weight_decay=1e-3)
    return lab.stack(Online(TASK, BATCH, 50), STEPS, kind, "logistic", rule, **settings)


def arms():
    return Replicas(2, first_seed=3, vary={"model.optimizer.lr": [0.1, 0.05]})


# torch maps the kernel of the weight norm replica by replica, and says that this is slow.
@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:LSTM with projections")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_replica_equals_a_plain_loop_and_its_solo_run(lab, kind):
    stack = stack_of(lab, kind, replicas=arms())
    initial = {name: value.clone() for name, value in stack.parameters_by_name().items()}
    stack.train_steps(0, STEPS)
    measured = stack.evaluate()
    assert torch.equal(measured["val/loss"], stack.evaluate()["val/loss"])
    held = dict(stack.network.named_parameters(remove_duplicate=False)) | dict(stack.network.named_buffers())
    for replica, (lr, seed) in enumerate([(0.1, 3), (0.1, 4), (0.05, 3), (0.05, 4)]):
        plain = lab.plain_network(TASK, seed, kind)
        trained = [parameter for parameter in plain.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=lr, momentum=0.9, weight_decay=1e-3)
        x, y = lab.examples(TASK, seed, range(STEPS * BATCH))
        for inputs, targets in zip(x.split(BATCH), y.split(BATCH), strict=True):
            loss = F.soft_margin_loss(outputs_of(plain(inputs))[:, 0], targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for name, value in (*plain.named_parameters(remove_duplicate=False), *plain.named_buffers()):
            mine = held[name][replica] if held[name].dim() > value.dim() else held[name]
            torch.testing.assert_close(mine, value.detach(), rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")
            if isinstance(value, nn.Parameter) and not value.requires_grad:
                assert torch.equal(stack.parameters_by_name()[name][replica], initial[name][replica])
        plain.eval()
        x, y = lab.examples(TASK, seed, range(50), "test")
        with torch.no_grad():
            loss = F.soft_margin_loss(outputs_of(plain(x))[:, 0], y)
        assert measured["val/loss"][replica] == pytest.approx(loss.item(), rel=1e-3)
    solo = stack_of(lab, kind, replicas=Replicas(1, first_seed=4))
    solo.train_steps(0, STEPS)
    for name, value in solo.parameters_by_name().items():
        torch.testing.assert_close(value[0], stack.parameters_by_name()[name][1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(solo.evaluate()["val/loss"][0], measured["val/loss"][1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [Counts, Average, KINDS["batch norm"], Tied, Frozen], ids=lambda kind: kind.__name__)
def test_a_resumed_stack_continues_bit_for_bit(lab, kind):
    whole, first, second = (stack_of(lab, kind) for _ in range(3))
    whole.train_steps(0, STEPS)
    first.train_steps(0, 2)
    first.evaluate()
    second.load_state_dict(lab.through_a_file(first.state_dict()))
    second.train_steps(2, STEPS - 2)
    assert torch.equal(second.evaluate()["val/loss"], whole.evaluate()["val/loss"])
    tensors = dict(whole.network.named_parameters()) | dict(whole.network.named_buffers())
    again = dict(second.network.named_parameters()) | dict(second.network.named_buffers())
    assert all(torch.equal(value, again[name]) for name, value in tensors.items())


def test_tied_parameters_have_one_stacked_tensor_in_the_checkpoint(lab):
    stack = stack_of(lab, Tied)
    stack.train_steps(0, STEPS)
    state = stack.state_dict()
    assert state["network.again.weight"].shape == (3, WIDTH, WIDTH)
    assert state["network.again.weight"].data_ptr() == state["network.mix.weight"].data_ptr()
    loaded = lab.through_a_file(state)
    assert torch.equal(loaded["network.again.weight"], loaded["network.mix.weight"])
    assert "again.weight" not in stack.parameters_by_name()


def test_buffers_of_each_replica_are_in_the_checkpoint_and_constants_as_they_were(lab):
    shapes = {}
    for kind in (KINDS["batch norm"], RandomFeatures, Constants):
        shapes |= {
            name: value.shape for name, value in stack_of(lab, kind).state_dict().items() if hasattr(value, "shape")
        }
    assert shapes["network.layer.0.running_mean"] == (3, WIDTH)
    assert shapes["network.layer.0.num_batches_tracked"] == (3,)
    assert shapes["network.frequencies"] == (3, WIDTH)
    assert shapes["network.mask"] == (WIDTH,)


def test_a_checkpoint_without_buffers_has_the_entries_that_it_always_had(lab):
    state = stack_of(lab, Constants).state_dict()
    assert set(state["_extra_state"]) == {"rule", "record", "data", "memory"}


@pytest.mark.parametrize("block_size", [1, 2, 3])
@pytest.mark.parametrize("kind", [Counts, KINDS["batch norm"]], ids=["counter", "batch norm"])
def test_no_number_depends_on_blocks(lab, kind, block_size):
    whole, blocks = stack_of(lab, kind), stack_of(lab, kind, block_size=block_size)
    for stack in (whole, blocks):
        stack.train_steps(0, STEPS)
    for name, value in whole.network.named_buffers():
        torch.testing.assert_close(blocks.network.get_buffer(name), value, rtol=1e-5, atol=1e-6)


def test_a_diverged_replica_keeps_its_buffers(lab):
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e30]})
    stack = stack_of(lab, Counts, replicas=replicas)
    stack.train_steps(0, STEPS)
    diverged = stack.record["diverged_at"].tolist()
    assert diverged[0] == -1 and diverged[1] > 0
    assert stack.network.calls.flatten().tolist() == [STEPS, diverged[1]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["counter", "batch norm", "batch statistics", "constants", "constants by seed", "input in place", "tied"]
)
def test_the_compiled_step_gives_the_numbers_of_the_eager_one(lab, kind):
    eager, compiled = stack_of(lab, KINDS[kind]), stack_of(lab, KINDS[kind], compile="always")
    for stack in (eager, compiled):
        stack.train_steps(0, STEPS)
    torch.testing.assert_close(compiled.evaluate()["val/loss"], eager.evaluate()["val/loss"], rtol=1e-5, atol=1e-6)
    assert compiled.computed_by()["is_compiled"]
    assert torch.equal(compiled.evaluate()["val/loss"], compiled.evaluate()["val/loss"])
    again = dict(compiled.network.named_parameters()) | dict(compiled.network.named_buffers())
    for name, value in (*eager.network.named_parameters(), *eager.network.named_buffers()):
        torch.testing.assert_close(again[name], value, rtol=1e-4, atol=1e-6)
