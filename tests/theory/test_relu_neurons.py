"""ReLU networks in NumPy compared with svl's MLP and loss trained by PyTorch, and signals with closed forms."""

import numpy as np
import pytest
import torch

from svl.losses import Logistic
from svl.models import MLP
from svl.theory import relu_network, relu_times
from svl.theory.relu_network import Data, Network


def trained(network, data, rate, steps):
    """The first replica by autograd and torch.optim.SGD in double precision: networks and losses before every step."""
    inner, outer, offset = (torch.tensor(np.asarray(part[0], np.float64)) for part in network)
    x, y = (torch.tensor(np.asarray(part if data.y.ndim == 1 else part[0], np.float64)) for part in data)
    mlp = MLP((x.shape[1] - 1,), 1, len(outer)).double()
    weights = {"layers.0.weight": inner[:, :-1], "layers.0.bias": inner[:, -1]}
    mlp.load_state_dict({**weights, "layers.1.weight": outer[None], "layers.1.bias": offset[None]})
    optimizer, states = torch.optim.SGD(mlp.parameters(), lr=rate), []
    for _ in range(steps):
        outputs = mlp(x[:, :-1])
        loss = Logistic().each(outputs, y).mean()
        accuracy = (outputs[:, 0] * y > 0).double().mean().item()
        now = [part.detach().clone().numpy() for part in mlp.parameters()]
        states.append((loss.item(), accuracy, *now))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return states


def double(parts):
    return type(parts)(*(np.asarray(part, np.float64) for part in parts))


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("shared", [True, False])
def test_the_steps_are_those_of_svl_s_network_and_loss_in_pytorch(width, shared):
    generator = np.random.default_rng(width)
    network = double(relu_network.initial(generator, 5, width, 3, 0.5))
    data = double(relu_network.population(5) if shared else relu_network.samples(generator, 5, 12, 3))
    expected = trained(network, data, 0.3, 120)
    for loss, accuracy, w, b, a, c in expected:
        moved, fitted = relu_network.step(network, data, 0.3)
        assert fitted.loss[0] == pytest.approx(loss, abs=1e-10)
        assert fitted.accuracy[0] == accuracy
        np.testing.assert_allclose(network.inner[0], np.concatenate([w, b[:, None]], axis=1), atol=1e-9)
        np.testing.assert_allclose(network.outer[0], a[0], atol=1e-9)
        assert network.offset[0] == pytest.approx(c.item(), abs=1e-9)
        network = moved
    assert expected[-1][0] < expected[0][0] - 0.1


def test_a_phase_ends_where_its_steps_say():
    """Blocks of replicas, each until it ends, are single steps of all replicas."""
    generator, rate, target, limit = np.random.default_rng(1), 0.02, 0.4, 400
    network = relu_network.initial(generator, 6, 2, 9, 0.01)
    data = relu_network.samples(generator, 6, 20, 9)
    before = Network(*(part.copy() for part in network))
    block, relu_network.BLOCK = relu_network.BLOCK, 100
    try:
        done = relu_network.train(network, data, rate, relu_network.grown(target), limit)
    finally:
        relu_network.BLOCK = block
    for part, old in zip(network, before, strict=True):
        np.testing.assert_array_equal(part, old)
    sizes, states, now = [], [], network
    for _ in range(limit + 1):
        sizes.append(np.linalg.norm(now.outer, axis=1))
        states.append(now)
        now, _ = relu_network.step(now, data, rate)
    for replica in range(9):
        passing = np.flatnonzero(np.array(sizes)[:, replica] >= target)
        end = passing[0] if len(passing) else limit
        assert (done.steps[replica], done.ended[replica]) == (end, len(passing) > 0)
        np.testing.assert_allclose(done.network.inner[replica], states[end].inner[replica], atol=1e-5)
    assert done.ended.sum() > 0


def test_the_data_are_two_sparse_parity():
    data = relu_network.population(4)
    assert len({tuple(row) for row in data.x.tolist()}) == 16
    assert (data.x[:, -1] == 1).all() and data.y.sum() == 0
    few = relu_network.samples(np.random.default_rng(2), 4, 50, 3)
    np.testing.assert_array_equal(few.y, few.x[..., 0] * few.x[..., 1])
    assert not np.array_equal(few.x[0], few.x[1])


@pytest.mark.parametrize(("dim", "samples"), [(8, 40), (14, 20)])
def test_the_size_of_the_sample_s_signal(dim, samples):
    """q = E[y relu(w . x)] of new directions on new data."""
    generator, draws = np.random.default_rng(3), 4000
    network = relu_network.initial(generator, dim, 1, draws, 0.0)
    data = relu_network.samples(generator, dim, samples, draws)
    active = np.maximum((data.x @ network.inner.swapaxes(1, 2))[..., 0], 0)
    square = np.square((data.y * active).mean(1)).mean()
    assert square == pytest.approx(relu_times.mean_square_signal(dim, samples), rel=0.12)


def test_the_size_of_the_population_s_signal():
    """The formula is that of a normal w . x; sums of few signs have more: 1.44 times at d = 6, 1.35 times at d = 8."""
    ratios = []
    for dim, draws in ((6, 20000), (10, 4000)):
        inner = relu_network.initial(np.random.default_rng(3), dim, 1, draws, 0.0).inner[:, 0]
        whole = relu_network.population(dim)
        q = whole.y @ np.maximum(whole.x @ inner.T, 0) / len(whole.y)
        ratios.append(np.square(q).mean() / relu_times.mean_square_signal(dim, np.inf))
    assert 1 < ratios[1] < ratios[0]
    assert ratios[0] == pytest.approx(1.44, abs=0.08)


def test_phase_1_takes_the_time_of_its_signal():
    """While f is small the logistic loss pulls half as much as the correlation loss: a = eta t q / 2."""
    generator, dim, width, samples, target = np.random.default_rng(4), 12, 64, 60, 0.01
    network = relu_network.initial(generator, dim, width, 12, 1e-6)
    times, reached, after = relu_times.grow(generator, network, samples, target)
    assert reached.all() and (after.size >= target).all()
    expected = 2 * target / np.sqrt(width * relu_times.mean_square_signal(dim, samples))
    assert np.median(times) == pytest.approx(expected, rel=0.15)


def test_one_neuron_reaches_the_loss_that_is_said():
    """f = a relu(x_1 + x_2 - 1) + c with a large a: log 2 is lost half way between f = 0 and the best of c."""
    margins = {1: 100.0}
    c = np.linspace(-2, 2, 4001)
    loss = 0.25 * np.logaddexp(0, -margins[1]) + 0.5 * np.logaddexp(0, c) + 0.25 * np.logaddexp(0, -c)
    assert relu_times.goal(1) == pytest.approx((np.log(2) + loss.min()) / 2, abs=1e-6)
    assert relu_times.goal(8) == pytest.approx(np.log(2) / 2)


def test_a_seed_repeats_the_experiment_on_new_samples():
    scale = relu_times.Scale((8,), 4, 2, 8, (4,), 5, 3)
    first, same, new = (relu_times.both_phases(scale, lambda items, _: items, seed) for seed in (0, 0, 9))
    np.testing.assert_array_equal([row.total for row in first], [row.total for row in same])
    assert not np.array_equal([row.total for row in first], [row.total for row in new])
    assert [(row.dim, row.samples, row.target) for row in first if row.dim == 5] == [
        (5, None, None),
        *[(5, n, relu_times.TARGETS[2]) for n in (5, 11, 25)],
    ]
    assert relu_times.saving(first, first[0]).value == 1


def test_the_paired_slope_is_that_of_power_laws():
    x, powers = [10, 40, 160], np.array([0.2, 0.3, 0.4])
    slope = relu_times.paired_slope(x, [np.array([1.0, 5.0, 0.1]) * n**powers for n in x])
    assert slope.exponent.value == pytest.approx(0.3)
    assert slope.exponent.low < 0.2 and slope.exponent.high > 0.4


def test_data_of_all_replicas_are_shared():
    data = relu_network.population(3)
    assert data.of(np.array([0])) is data
    own = Data(np.ones((4, 2, 3)), np.ones((4, 2)))
    assert own.of(np.array([1, 2])).y.shape == (2, 2)
