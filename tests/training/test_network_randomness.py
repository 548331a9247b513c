"""A network's random numbers come from each replica's key, the step and the place; whatever else is refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from svl import random
from svl.data import FullBatch, Online, Subset
from svl.errors import SettingError
from svl.interventions import PCGrad
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.draws import Draws
from svl.training.team import Team

STEPS, BATCH, WIDTH = 4, 16, 8
TASK = Parity(8, 2)
RATE = 0.3


class Net(nn.Module):
    def __init__(self, input_shape, output_dim):
        super().__init__()
        self.first, self.last = nn.Linear(input_shape[0], WIDTH), nn.Linear(WIDTH, output_dim)

    def between(self, h):
        return F.dropout(F.relu(h), RATE, self.training)

    def forward(self, x):
        return self.last(self.between(self.first(x)))


class Module(Net):
    def __init__(self, *shape):
        super().__init__(*shape)
        self.drop = nn.Dropout(RATE)

    def between(self, h):
        return self.drop(F.relu(h))


class Noise(Net):
    """Every function that is drawn for each replica."""

    def between(self, h):
        if not self.training:
            return F.relu(h)
        h = F.alpha_dropout(F.relu(h), RATE, training=True) + torch.rand(WIDTH) + torch.randn_like(h)
        h = h * torch.bernoulli(torch.full_like(h, 0.5)) + torch.rand_like(h) * torch.randn(WIDTH, 1)[:, 0]
        return h + F.gumbel_softmax(h) + torch.empty_like(h).uniform_(-1, 1) + torch.empty_like(h).normal_(1, 2)


class Attention(Net):
    """Dropout in the attention and in the feed-forward layers."""

    def __init__(self, *shape):
        super().__init__(*shape)
        self.embed = nn.Linear(1, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=RATE, batch_first=True)

    def forward(self, x):
        return self.last(self.layer(self.embed(x[..., None])).mean(1))


class Recurrent(Net):
    def __init__(self, *shape):
        super().__init__(*shape)
        self.layer = nn.GRU(1, WIDTH, 2, dropout=RATE, batch_first=True)

    def forward(self, x):
        return self.last(self.layer(x[..., None])[0][:, -1])


class Always(Net):
    """Random in evaluation mode too."""

    def between(self, h):
        return F.dropout(F.relu(h), RATE)


KINDS = [Net, Module, Noise, Attention, Recurrent, Always]


def stack_of(lab, kind, data=None, **settings):
    return lab.stack(data or Online(TASK, BATCH, 50), STEPS, kind, "logistic", SGD(0.1, momentum=0.9), **settings)


def trained(lab, kind, **settings):
    stack = stack_of(lab, kind, **settings)
    stack.train_steps(0, STEPS)
    return stack


def assert_equal(first, second, rows=slice(None), exact=False):
    for name, value in first.parameters_by_name().items():
        other = second.parameters_by_name()[name][rows]
        torch.testing.assert_close(value, other, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
    mine, others = first.evaluate()["val/loss"], second.evaluate()["val/loss"][rows]
    torch.testing.assert_close(mine, others, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_equals_its_solo_run(lab, kind):
    replicas = Replicas(2, first_seed=3, vary={"model.optimizer.lr": [0.1, 0.05]})
    assert_equal(
        trained(lab, kind, replicas=Replicas(1, first_seed=4)), trained(lab, kind, replicas=replicas), slice(1, 2)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_stack_continues_bit_for_bit(lab, kind):
    whole, first, second = trained(lab, kind), stack_of(lab, kind), stack_of(lab, kind)
    first.train_steps(0, 2)
    first.evaluate()
    second.load_state_dict(lab.through_a_file(first.state_dict()))
    second.train_steps(2, STEPS - 2)
    assert_equal(second, whole, exact=True)


@pytest.mark.parametrize("block_size", [1, 2])
def test_no_number_depends_on_blocks_or_on_torch_s_generator(lab, block_size):
    whole = trained(lab, Noise)
    torch.rand(5)
    assert_equal(trained(lab, Noise, block_size=block_size), whole)


def test_training_draws_nothing_from_torch_s_generator(lab):
    before = torch.get_rng_state()
    trained(lab, Noise).evaluate()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [Net, Module])
def test_dropout_is_that_of_a_plain_loop_with_the_same_masks(lab, kind):
    """Inverted dropout (Srivastava et al. 2014), with masks of the generator of the replica's key."""
    stack = trained(lab, kind, replicas=Replicas(2, first_seed=5))
    for replica, seed in enumerate([5, 6]):
        plain = lab.plain_network(TASK, seed, kind)
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
        x, y = lab.examples(TASK, seed, range(STEPS * BATCH))
        stream = random.fold(random.key(seed)[None], "network/training")
        for step, (inputs, targets) in enumerate(zip(x.split(BATCH), y.split(BATCH), strict=True)):
            key = random.fold(stream, torch.tensor(step))
            uniform = random.uniforms(key, torch.tensor(0), BATCH * WIDTH).view(BATCH, WIDTH)
            mask = (uniform < 1 - RATE) / (1 - RATE)
            outputs = plain.last(F.relu(plain.first(inputs)) * mask)
            loss = F.soft_margin_loss(outputs[:, 0], targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        lab.assert_replica_is(stack, replica, plain)
        plain.eval()
        x, y = lab.examples(TASK, seed, range(50), "test")
        with torch.no_grad():
            loss = F.soft_margin_loss(plain(x)[:, 0], y)
        assert stack.evaluate()["val/loss"][replica] == pytest.approx(loss.item(), rel=1e-4)


def draws(shape=(3, 200, 50), step=0, micro=0):
    return Draws(random.key(torch.arange(3)), torch.tensor(step), torch.tensor(micro)), torch.zeros(shape)


def test_distributions_and_independence():
    numbers = []
    for step, micro in ((0, 0), (1, 0), (0, 1)):
        context, zeros = draws(step=step, micro=micro)
        with context:
            numbers += [torch.rand(zeros.shape), torch.rand_like(zeros)]
            normal = torch.randn(zeros.shape)
            exponential = torch.empty_like(zeros).exponential_(2.0)
            kept = torch.bernoulli(zeros, 0.7)
            dropped, mask = torch.native_dropout(zeros + 1, 0.25, True)
        assert kept.mean().item() == pytest.approx(0.7, abs=0.01)
        assert normal.mean().item() == pytest.approx(0, abs=0.02) and normal.std().item() == pytest.approx(1, abs=0.02)
        assert exponential.mean().item() == pytest.approx(0.5, abs=0.01)
        assert mask.float().mean().item() == pytest.approx(0.75, abs=0.01)
        torch.testing.assert_close(dropped, mask / 0.75)
        assert context.calls == 6
    # Steps, micro-batches, operations and replicas have numbers of their own.
    rows = torch.cat([part.flatten(1) for part in numbers]).double().numpy()
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 5 / np.sqrt(rows.shape[1])


class Multinomial(Net):
    def between(self, h):
        return h + torch.multinomial(h.softmax(-1), 1)


class Permuted(Net):
    def between(self, h):
        return h[:, torch.randperm(WIDTH)]


class FromNumPy(Net):
    def between(self, h):
        return super().between(h) * np.random.rand()  # noqa: NPY002


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Multinomial, "svl cannot draw aten::multinomial"),
        (Permuted, "svl cannot draw aten::randperm"),
        (FromNumPy, "two calls with the same ones differ"),
    ],
)
def test_what_cannot_be_drawn_is_refused(lab, kind, reason):
    with pytest.raises(SettingError, match=reason) as error:
        stack_of(lab, kind)
    assert error.value.key == "model.network" and "\n" not in str(error.value)


class Normalised(Net):
    def __init__(self, *shape):
        super().__init__(*shape)
        self.norm = nn.BatchNorm1d(WIDTH)

    def between(self, h):
        return F.relu(self.norm(h))


@pytest.mark.parametrize(("kind", "reason"), [(Net, "draws random numbers"), (Normalised, "normalises over the batch")])
def test_steps_of_several_parts_are_refused(lab, kind, reason):
    match = rf"model\.network: got 'N\w+, which {reason}"
    with pytest.raises(SettingError, match=match):
        stack_of(lab, kind, FullBatch(TASK, 40, micro_batch_size=16, test_size=50))
    with pytest.raises(SettingError, match=match):
        stack_of(lab, kind, Subset(TASK, size=64, batch_size=BATCH, test_size=50, batch_ratio=0.25))
    with pytest.raises(SettingError, match=match):
        stack_of(lab, kind, interventions={"surgery": PCGrad()})
    with pytest.raises(SettingError, match=rf"trainer\.devices: got 4; .*{reason}"):
        stack_of(lab, kind).join(Team(0, 4, True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Module, Noise, Always])
def test_the_compiled_step_draws_the_numbers_of_the_eager_one(lab, kind):
    compiled = trained(lab, kind, compile="always")
    assert_equal(compiled, trained(lab, kind))
    assert compiled.computed_by()["is_compiled"]
