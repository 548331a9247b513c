"""Sequences of points against their definition, contexts against their distribution, references against plain loops."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.data import Axis, Online
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks import InContextRegression
from svl.tasks.task import TEST_START

LIU = InContextRegression()
KOTHA = InContextRegression(20, 41, 1.0, objective="prefixes")
BOTH = pytest.mark.parametrize("objective", ["query", "prefixes"])


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def points(task, inputs, targets):
    """x ``[replica, batch, point, dim]`` and y ``[replica, batch, point]`` of sequences, in float64 by NumPy."""
    inputs, targets = inputs.numpy().astype(float), targets.numpy().astype(float)
    last = targets if task.objective == "query" else targets[..., -1]
    return inputs[:, :, 0::2], np.concatenate([inputs[:, :, 1::2, 0], last[..., None]], axis=-1)


def drawn(task, seed, count, split="train", **axes):
    examples = task.examples if split == "train" else task.test_examples
    return points(task, *examples(keys(seed), torch.arange(count)[None], **axes))


def context_of(x, y):
    """What noiseless points say the context is."""
    return np.stack([np.linalg.lstsq(a, b)[0] for a, b in zip(x[0], y[0], strict=True)])


def test_liu_s_form_is_15_points_and_a_query_whose_y_is_the_target():
    inputs, targets = LIU.examples(keys(0, 1), torch.arange(14).view(2, 7))
    assert (inputs.shape, targets.shape) == ((2, 7, 31, 4), (2, 7))
    assert (LIU.input_shape, LIU.output_dim, LIU.per_position, LIU.target) == ((31, 4), 1, False, "number")
    assert (inputs[:, :, 1::2, 1:] == 0).all()
    w = LIU.contexts(keys(0, 1), torch.arange(14).view(2, 7))
    x, y = points(LIU, inputs, targets)
    assert x.shape == (2, 7, 16, 4)
    np.testing.assert_allclose(y, np.einsum("rbpd,rbd->rbp", x, w.numpy()), rtol=1e-5, atol=1e-5)


def test_kotha_s_form_is_41_points_each_with_a_target_at_its_x():
    index = torch.arange(14).view(2, 7)
    inputs, targets = KOTHA.examples(keys(0, 1), index)
    assert (inputs.shape, targets.shape) == ((2, 7, 81, 20), (2, 7, 81))
    assert (KOTHA.input_shape, KOTHA.output_dim, KOTHA.per_position) == ((81, 20), 1, True)
    assert targets[..., 1::2].isnan().all()
    assert torch.equal(targets[..., :-1:2], inputs[:, :, 1::2, 0])
    assert (inputs[:, :, 1::2, 1:] == 0).all()
    # The two forms are one sequence.
    same, query = InContextRegression(20, 41, 1.0).examples(keys(0, 1), index)
    assert torch.equal(same, inputs)
    assert torch.equal(query, targets[..., -1])


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.5])
def test_points_and_noise_are_independent_gaussians(noise):
    task, count = InContextRegression(3, 5, noise), 4000
    x, y = drawn(task, 3, count)
    w = task.contexts(keys(3), torch.arange(count)[None]).numpy().astype(float)
    residual = (y - np.einsum("rbpd,rbd->rbp", x, w)) / noise
    columns = np.concatenate([x.reshape(count, -1), residual.reshape(count, -1), w.reshape(count, -1)], axis=1)
    for column in columns.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    variance = np.square(residual).sum()
    assert 1e-3 < stats.chi2.sf(variance, residual.size) < 1 - 1e-3
    covariance = columns.T @ columns / count
    z = np.sqrt(count) * covariance[np.triu_indices(columns.shape[1], 1)]
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9])
def test_contexts_have_the_covariance_of_their_beta(beta):
    dim, count = 6, 20_000
    index = torch.arange(count)[None]
    along = InContextRegression(dim, beta=1.0).contexts(keys(5), index)[0].numpy().astype(float)
    v = along[0] / np.linalg.norm(along[0])
    np.testing.assert_allclose(along, np.outer(along @ v, v), atol=1e-5)
    assert stats.kstest(along @ v, "norm").pvalue > 1e-3
    w = InContextRegression(dim, beta=beta).contexts(keys(5), index)[0].numpy().astype(float)
    expected = (1 - beta) * np.eye(dim) + beta * np.outer(v, v)
    white = np.linalg.solve(np.linalg.cholesky(expected), w.T)
    z = np.sqrt(count) * np.concatenate(
        [(white @ white.T / count - np.eye(dim))[np.triu_indices(dim, 1)], white.mean(1)]
    )
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert 1e-3 < stats.chi2.sf(np.square(white).sum(), white.size) < 1 - 1e-3


def test_the_direction_is_uniform_on_the_sphere_and_of_the_seed():
    count = 3000
    w = InContextRegression(3, beta=1.0).contexts(random.key(torch.arange(count)), torch.zeros(count, 1).long())
    v = (w / w.norm(dim=-1, keepdim=True))[:, 0].numpy()
    # Archimedes: on the sphere in three dimensions each coordinate is uniform.
    for coordinate in v.T:
        assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-3


@BOTH
def test_test_contexts_are_isotropic_and_fresh(objective):
    count, dim = 3000, 4
    task = InContextRegression(dim, 6, beta=0.95, objective=objective)
    x, y = drawn(task, 2, count, "test")
    w = context_of(x, y)
    own = InContextRegression(dim, 6).contexts(keys(2), TEST_START + torch.arange(count)[None])[0].numpy()
    np.testing.assert_allclose(w, own, atol=2e-3)
    z = np.sqrt(count) * (w.T @ w / count - np.eye(dim))[np.triu_indices(dim, 1)]
    assert np.abs(z).max() < 4
    assert 1e-3 < stats.chi2.sf(np.square(w).sum(), w.size) < 1 - 1e-3
    train = context_of(*drawn(task, 2, count))
    assert np.linalg.eigvalsh(train.T @ train / count).min() < 0.1
    nearest = np.abs(w[:500, None] - train[None, :500]).max(-1).min()
    assert nearest > 1e-2


@BOTH
def test_a_pool_has_exactly_its_contexts_with_fresh_points(objective):
    task, steps, batch = InContextRegression(3, 6, objective=objective), 4, 50
    data = Online(task, batch, axes={"context": Axis(size=4)})
    data.schedule(steps, 1)
    replicas = Replicas(2)
    numbers, key = data.settings_of(replicas), replicas.key()
    batches = [data.batch(Draw(numbers, {}, key, torch.tensor(t), torch.tensor(0), batch)) for t in range(steps)]
    pool = task.contexts(key, torch.arange(4).expand(2, -1)).numpy()
    for replica in range(2):
        x, y = (np.concatenate(part, 1) for part in zip(*(points(task, *b[:2]) for b in batches), strict=True))
        x, y = x[replica : replica + 1], y[replica : replica + 1]
        distance = np.abs(context_of(x, y)[:, None] - pool[replica]).max(-1)
        assert distance.min(1).max() < 1e-3
        assert set(distance.argmin(1)) == {0, 1, 2, 3}
        assert len(np.unique(x.reshape(steps * batch, -1), axis=0)) == steps * batch


def test_arms_can_differ_in_their_pool():
    task = InContextRegression(3, 6)
    data = Online(task, 200)
    data.schedule(1, 1)
    replicas = Replicas(1, vary={"data.axes.context.size": [8, "online"]})
    numbers, key = data.settings_of(replicas), replicas.key()
    inputs, targets, _ = data.batch(Draw(numbers, {}, key, torch.tensor(0), torch.tensor(0), 200))
    own, _ = task.examples(key[1:], torch.arange(200)[None])
    assert torch.equal(inputs[1:], own)
    # The arms share their points.
    assert torch.equal(inputs[0, :, 0::2], inputs[1, :, 0::2])
    contexts = [context_of(*points(task, inputs[arm : arm + 1], targets[arm : arm + 1])) for arm in range(2)]
    assert [len(np.unique(w.round(2), axis=0)) for w in contexts] == [8, 200]
    tests, _ = data.test_batch(numbers, key, 0, 20)
    assert torch.equal(tests[0], tests[1])


def squared_errors(task, inputs, targets, noise, pool):
    """Of each reference predictor the errors ``[batch, point]`` of one replica, one sequence and prefix at a time."""
    (x,), (y,) = points(task, inputs, targets)
    errors = {name: np.zeros(y.shape) for name in ("ridge", "least_squares", "pool")}
    for example, point in np.ndindex(y.shape):
        before, values, query = x[example, :point], y[example, :point], x[example, point]
        likelihood = np.exp(-0.5 * np.square((values - pool @ before.T) / noise).sum(1))
        w = {"pool": likelihood @ pool / likelihood.sum(), "ridge": 0 * query, "least_squares": 0 * query}
        if point:
            w["ridge"] = Ridge(alpha=noise**2, fit_intercept=False).fit(before, values).coef_
            w["least_squares"] = np.linalg.lstsq(before, values)[0]
        for name, error in errors.items():
            error[example, point] = (w[name] @ query - y[example, point]) ** 2
    return errors


@BOTH
def test_references_are_the_mean_losses_of_the_predictors(objective):
    noise, size, count, key = torch.tensor([0.5, 1.5]), torch.tensor([6, 6]), 12, keys(0, 1)
    task = InContextRegression(3, 7, objective=objective).bind({"noise": noise})
    inputs, targets = task.test_examples(key, torch.arange(count).expand(2, -1))
    found = task.references(key, inputs, targets, {"context": size})
    names = ["ridge", "least_squares", "pool"]
    own = [one for name in names for one in ([name] if objective == "query" else [name, f"{name}_query"])]
    assert list(found) == own
    pool = task.contexts(key, torch.arange(6).expand(2, -1)).numpy().astype(float)
    for replica in range(2):
        rows = slice(replica, replica + 1)
        errors = squared_errors(task, inputs[rows], targets[rows], noise[replica].item(), pool[replica])
        for name in names:
            last = errors[name][:, -1].mean()
            expected = {name: last} if objective == "query" else {name: errors[name].mean(), f"{name}_query": last}
            for one, value in expected.items():
                assert found[one][replica].item() == pytest.approx(value, rel=1e-4), one


def test_a_pool_that_is_none_or_too_large_has_no_estimator():
    inputs, targets = LIU.test_examples(keys(0), torch.arange(5)[None])
    for pools in ({}, {"context": torch.tensor([0])}, {"context": torch.tensor([2**14 + 1])}):
        assert list(LIU.references(keys(0), inputs, targets, pools)) == ["ridge", "least_squares"]


@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_ridge_is_the_best_of_them_on_the_test_contexts(beta):
    task = InContextRegression(5, 12, 1.0, beta, "prefixes")
    inputs, targets = task.test_examples(keys(0, 1, 2), torch.arange(512).expand(3, -1))
    found = task.references(keys(0, 1, 2), inputs, targets, {"context": torch.tensor([8, 8, 8])})
    for where in ("", "_query"):
        best = found[f"ridge{where}"]
        assert (best > 0.85).all()  # the noise itself cannot be predicted
        assert (found[f"least_squares{where}"] > 1.1 * best).all()
        assert (found[f"pool{where}"] > 1.1 * best).all()


def test_on_the_contexts_of_its_pool_the_pool_s_estimator_is_the_best():
    task, key, size = InContextRegression(5, 12, 1.0, objective="prefixes"), keys(0, 1), torch.tensor([8, 8])
    index = torch.arange(512).expand(2, -1)
    found = task.references(key, *task.examples(key, index, index % 8), {"context": size})
    assert (found["pool"] < 0.9 * found["ridge"]).all()


def test_without_noise_the_full_context_tells_the_function():
    inputs, targets = LIU.test_examples(keys(0), torch.arange(100)[None])
    found = LIU.references(keys(0), inputs, targets, {})
    assert all(value.item() < 1e-9 for value in found.values())
    few = InContextRegression(6, 4)
    inputs, targets = few.test_examples(keys(0), torch.arange(512)[None])
    # Three points of six dimensions leave half of the context's variance.
    for value in few.references(keys(0), inputs, targets, {}).values():
        assert value.item() == pytest.approx(3, rel=0.25)


def test_the_query_s_loss_is_measured_where_the_loss_is_over_prefixes():
    inputs, targets = KOTHA.test_examples(keys(0), torch.arange(9)[None])
    outputs = torch.randn(9, 81, 1, generator=torch.Generator().manual_seed(0))
    measured = KOTHA.measures(outputs, targets[0])
    assert list(measured) == ["query_loss"]
    expected = np.square(outputs[:, 80, 0].numpy() - points(KOTHA, inputs, targets)[1][0, :, 40])
    np.testing.assert_allclose(measured["query_loss"], expected, rtol=1e-5)
    assert LIU.measures(outputs[:, -1], torch.zeros(9)) == {}


@BOTH
@given(order=st.permutations(range(12)), size=st.sampled_from([1, 3, 4, 12]))
@settings(max_examples=15)
def test_an_example_does_not_depend_on_its_batch(objective, order, size):
    task, key = InContextRegression(3, 4, 0.5, 0.5, objective), keys(4)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, targets = task.examples(key, index.sort().values[None])
    batches = [task.examples(key, index[None, start : start + size]) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0] for batch in batches], 1), inputs[:, order])
    found = torch.cat([batch[1] for batch in batches], 1)
    torch.testing.assert_close(found, targets[:, order], rtol=0, atol=0, equal_nan=True)


def test_seeds_and_splits_have_unrelated_examples():
    x, _ = points(LIU, *LIU.examples(keys(0, 1), torch.arange(300).expand(2, -1)))
    test, _ = drawn(LIU, 0, 300, "test")
    for other in (x[1], test[0]):
        assert abs(np.corrcoef(x[0].ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(other.size)


@BOTH
def test_bound_numbers_are_those_of_separate_tasks(objective):
    noise, beta = torch.tensor([0.0, 0.5, 2.0]), torch.tensor([0.0, 0.25, 1.0])
    task, key = InContextRegression(3, 4, objective=objective), keys(7, 8, 9)
    bound, index = task.bind({"noise": noise, "beta": beta}), torch.arange(18).view(3, 6)
    for method in ("examples", "test_examples"):
        together = getattr(bound, method)(key, index)
        for row in range(3):
            alone = InContextRegression(3, 4, noise[row].item(), beta[row].item(), objective)
            own = getattr(alone, method)(key[row : row + 1], index[row : row + 1])
            for one, other in zip(together, own, strict=True):
                torch.testing.assert_close(one[row], other[0], rtol=1e-6, atol=1e-6, equal_nan=True)


@BOTH
def test_examples_can_be_traced(objective):
    def examples(key, index, context, noise, beta):
        task = InContextRegression(3, 4, objective=objective).bind({"noise": noise, "beta": beta})
        return *task.examples(key, index, context), *task.test_examples(key, index)

    index = torch.arange(18).view(2, 9)
    blank = keys(0, 1), torch.zeros_like(index), torch.zeros_like(index), torch.zeros(2), torch.zeros(2)
    traced = make_fx(examples, tracing_mode="fake")(*blank)
    arguments = keys(7, 8), index, index % 4, torch.tensor([0.5, 1.0]), torch.tensor([0.1, 0.9])
    for one, other in zip(traced(*arguments), examples(*arguments), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
        assert one.dtype == torch.float32


@pytest.mark.parametrize(
    ("setting", "given"),
    [(name, given) for name in ("dim", "points") for given in (0, -1, True, 2.0, "4")]
    + [(name, given) for name in ("noise", "beta") for given in (-0.1, math.nan, math.inf, True, "0.5")]
    + [("beta", 1.01), ("objective", "all"), ("objective", "")],
)
def test_settings_out_of_range_are_refused(setting, given):
    past_the_import_hook = inspect.unwrap(InContextRegression.__init__)
    with pytest.raises(SettingError) as error:
        past_the_import_hook(InContextRegression.__new__(InContextRegression), **{setting: given})
    assert error.value.key == setting
    assert error.value.given is given
