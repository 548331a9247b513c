"""Progress towards a feature against the exhaustive Fourier transform, NumPy, scikit-learn's ridge and plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import hadamard
from sklearn.linear_model import Ridge

from svl.callbacks import Feature
from svl.callbacks.feature import first_layer
from svl.data import Axis, Online
from svl.errors import SettingError
from svl.losses.names import LOSSES
from svl.models import MLP, QuadraticNeuron, Transformer
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import InContextRegression, Parity, SingleIndex, Staircase
from svl.training.replica_module import ReplicaModule

MANY = 2**14


def first_loss(task):
    return next(loss for loss in (kind() for kind in LOSSES.values()) if loss.fits(task))


def module(task, replicas, network=None, loss=None, test_size=64, steps=10, **data):
    def mlp(input_shape, output_dim):
        return MLP(input_shape, output_dim, width=8)

    made = ReplicaModule(network or mlp, loss or first_loss(task), SGD(lr=0.3), replicas=replicas, compile="never")
    made.prepare(Online(task, batch_size=16, test_size=test_size, **data), 100, 10)
    if steps:
        made.stack.train_steps(0, steps)
    return made


def plain(made, replica):
    """One replica's network with its parameters, as NumPy sees it."""
    task = made.stack.data.task
    network = made.build(task.input_shape, task.output_dim)
    network.load_state_dict({name: p[replica] for name, p in made.stack.parameters_by_name().items()})
    return lambda x: network(torch.as_tensor(x)).detach().numpy()


def measured(callback, made):
    found = callback.measure(made)
    assert list(found) == list(callback.names(made))
    return {name.removeprefix("feature/"): column.numpy() for name, column in found.items()}


def test_the_fourier_coefficient_of_parity_is_that_of_the_exhaustive_transform():
    task = Parity(6, 3, support="drawn")
    made = module(task, Replicas(2), test_size=MANY)
    found = measured(Feature(MANY), made)
    # Input number i has its coordinates from the digits of i, and chi_S is the Hadamard matrix's row of S's digits.
    digits = np.arange(64)[:, None] >> np.arange(6) & 1
    for replica in range(2):
        f = plain(made, replica)((1 - 2 * digits).astype(np.float32))[:, 0]
        support = task.support_mask(made.stack.key)[replica].numpy()
        row = hadamard(64)[support @ 2 ** np.arange(6)]
        assert found["fourier"][replica] == pytest.approx(row @ f / 64, abs=float(5 * f.std() / math.sqrt(MANY)))
        weight = made.stack.parameters_by_name()["layers.0.weight"][replica].numpy()
        share = np.linalg.norm(weight[:, support]) ** 2 / np.linalg.norm(weight) ** 2
        assert found["support_weight"][replica] == pytest.approx(share, rel=1e-5)


def test_the_fourier_coefficients_of_a_staircase_are_those_of_its_steps():
    task = Staircase(6, 4, epsilon=0.3)
    made = module(task, Replicas(2))
    found = measured(Feature(50), made)
    assert list(found) == ["fourier", "fourier_1", "fourier_2", "fourier_3", "support_weight"]
    for replica in range(2):
        inputs, _ = task.test_examples(made.stack.key[[replica]], torch.arange(50)[None])
        f, x = plain(made, replica), inputs[0].numpy()
        for j in range(1, 5):
            expected = np.mean([f(one[None])[0, 0] * np.prod(one[:j]) for one in x])
            name = "fourier" if j == 4 else f"fourier_{j}"
            assert found[name][replica] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_cosines_with_the_teacher_are_those_of_numpy():
    task = SingleIndex(5)
    made = module(task, Replicas(3))
    found = measured(Feature(), made)
    for replica, teacher in enumerate(task.teacher(made.stack.key).numpy()):
        weight = made.stack.parameters_by_name()["layers.0.weight"][replica].numpy()
        cosines = [abs(w @ teacher) / np.linalg.norm(w) for w in weight]
        top = np.linalg.svd(weight)[2][0]
        assert found["cosine"][replica] == pytest.approx(max(cosines), rel=1e-5)
        assert found["singular_cosine"][replica] == pytest.approx(abs(top @ teacher), rel=1e-4)
    # One replica that is not finite leaves the others alone.
    made.stack.parameters_by_name()["layers.0.weight"][1, 0, 0] = math.nan
    after = measured(Feature(), made)
    for name, column in after.items():
        np.testing.assert_array_equal(np.isfinite(column), [True, False, True])
        np.testing.assert_allclose(column[[0, 2]], found[name][[0, 2]], rtol=1e-6)


def test_the_direction_of_one_neuron_is_its_first_layer():
    task = SingleIndex(5, link="he2")
    made = module(task, Replicas(2), QuadraticNeuron, "correlation")
    found = measured(Feature(), made)
    expected = (made.stack.parameters_by_name()["w"] * task.teacher(made.stack.key)).sum(1).abs()
    for column in found.values():
        np.testing.assert_allclose(column, expected, rtol=1e-4)


def in_context(objective, replicas):
    def network(input_shape, output_dim):
        readout = "last" if objective == "query" else "all"
        return Transformer(input_shape, output_dim, width=8, depth=1, heads=2, causal=True, readout=readout)

    task = InContextRegression(dim=2, points=4, noise=0.5, objective=objective)
    return module(task, replicas, network, steps=1, axes={"context": Axis(3)})


@pytest.mark.parametrize("objective", ["query", "prefixes"])
def test_distances_in_context_are_to_scikit_learns_ridge_and_to_bayes_by_a_plain_loop(objective):
    sizes = {"data.axes.context.size": [3, "online"], "data.task.noise": [0.5, 1.0]}
    made = in_context(objective, Replicas(1, vary=sizes))
    found = measured(Feature(6), made)
    task, key = made.stack.data.task, made.stack.key
    for replica, (noise, has_pool) in enumerate([(0.5, True), (1.0, True), (0.5, False), (1.0, False)]):
        bound = task.bind({"noise": torch.tensor([noise])})
        inputs = bound.test_examples(key[[replica]], torch.arange(6)[None])[0]
        outputs = plain(made, replica)(inputs[0])
        pool = task.contexts(key[[replica]], torch.arange(3)[None])[0].numpy()
        to_ridge, to_pool = np.zeros((2, 6, 4))
        for example, tokens in enumerate(inputs[0].numpy()):
            x, y = tokens[0::2], tokens[1::2, 0]
            for point in range(4):
                f = outputs[example, 0] if objective == "query" else outputs[example, 2 * point, 0]
                ridge = Ridge(alpha=noise**2, fit_intercept=False).fit(x[:point], y[:point]).coef_ if point else [0, 0]
                likelihood = [stats.norm.pdf(y[:point], x[:point] @ w, noise).prod() for w in pool]
                bayes = np.average(pool, axis=0, weights=likelihood)
                to_ridge[example, point] = (f - x[point] @ ridge) ** 2
                to_pool[example, point] = (f - x[point] @ bayes) ** 2
        for name, distance in (("ridge", to_ridge), ("pool", to_pool)):
            last = distance[:, -1].mean()
            expected = {f"{name}_distance": last if objective == "query" else distance.mean()}
            expected |= {f"{name}_distance_query": last} if objective == "prefixes" else {}
            for column, value in expected.items():
                value = math.nan if name == "pool" and not has_pool else value
                assert found[column][replica] == pytest.approx(value, rel=1e-4, nan_ok=True), column


def test_without_a_pool_there_is_no_distance_to_its_estimator():
    task = InContextRegression(dim=2, points=3)
    made = module(task, Replicas(1), lambda i, o: Transformer(i, o, width=8, depth=1, heads=2), steps=0)
    assert Feature().names(made) == ["feature/ridge_distance"]


@pytest.mark.parametrize("make", [lambda r: module(Parity(6, 2), r), lambda r: in_context("query", r)])
def test_a_replica_has_the_progress_of_its_solo_run(make):
    together, alone = (measured(Feature(), make(replicas)) for replicas in (Replicas(3), Replicas(1, first_seed=2)))
    for name, column in alone.items():
        np.testing.assert_allclose(column, together[name][2:], rtol=1e-4, atol=1e-6)


def test_a_first_layer_that_reads_single_coordinates_has_no_share():
    def transformer(input_shape, output_dim):
        return Transformer(input_shape, output_dim, width=6, depth=1, heads=2)

    made = module(Parity(6, 2), Replicas(1), transformer, steps=0)
    assert first_layer(made.stack) is None
    assert Feature().names(made) == ["feature/fourier"]
    with pytest.raises(SettingError, match="first layer reads the whole input"):
        Feature().names(module(SingleIndex(6), Replicas(1), transformer, steps=0))


def test_tasks_without_a_feature_are_refused_in_one_line(svl, tiny, tmp_path):
    words = ["--data.task", "LinearRegression", "--model.loss", "squared", "--target.metric", "val/loss"]
    refused = svl(tmp_path, *tiny, *words, "--trainer.callbacks", "[Feature]")
    assert refused.status == 2 and refused.err.count("\n") == 1, refused.err
    assert "Feature for LinearRegression" in refused.err and "InContextRegression" in refused.err
    with pytest.raises(SettingError, match=r"^examples: got"):
        Feature(0)
