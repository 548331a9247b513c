"""Predictors in context against scikit-learn, NumPy and a plain loop over the paper's equation, at every prefix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge

from svl.tasks.context_predictors import least_squares, pool_bayes, ridge

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 5))
SEEDS = st.integers(0, 2**20)


def sequences(shape, seed, noise=0.5):
    """Inputs ``[replica, batch, point, dim]`` and noisy values of a linear function of each."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(shape)
    w = generator.standard_normal((*shape[:2], shape[-1]))
    y = np.einsum("rbpd,rbd->rbp", x, w) + noise * generator.standard_normal(shape[:3])
    return x, y, w


def at_every_prefix(x, y, predictor):
    """The weights that ``predictor(replica, X, y)`` finds from the points before each."""
    found = np.zeros_like(x)
    for replica, example, point in np.ndindex(x.shape[:3]):
        found[replica, example, point] = predictor(replica, x[replica, example, :point], y[replica, example, :point])
    return found


@given(SHAPES, SEEDS)
@settings(max_examples=15)
def test_ridge_is_scikit_learn_s(shape, seed):
    x, y, _ = sequences(shape, seed)
    variance = np.geomspace(0.01, 4, shape[0])

    def own(replica, before, values):
        if not len(values):
            return 0
        return Ridge(alpha=variance[replica], fit_intercept=False).fit(before, values).coef_

    found = ridge(*map(torch.from_numpy, (x, y, variance)))
    np.testing.assert_allclose(found, at_every_prefix(x, y, own), rtol=1e-7, atol=1e-9)


@given(SHAPES, SEEDS)
@settings(max_examples=15)
def test_least_squares_is_numpy_s_solution_of_smallest_norm(shape, seed):
    x, y, _ = sequences(shape, seed)
    expected = at_every_prefix(x, y, lambda _, before, values: np.linalg.lstsq(before, values)[0] if len(values) else 0)
    np.testing.assert_allclose(least_squares(torch.from_numpy(x), torch.from_numpy(y)), expected, rtol=1e-4, atol=1e-6)


def test_ridge_without_noise_is_least_squares_of_smallest_norm():
    x, y, w = sequences((1, 20, 41, 20), 0, noise=0.0)
    found = ridge(torch.from_numpy(x), torch.from_numpy(y), torch.zeros(1, dtype=torch.float64))
    expected = at_every_prefix(x, y, lambda _, before, values: np.linalg.lstsq(before, values)[0] if len(values) else 0)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found[0, :, 25:], np.broadcast_to(w[0, :, None], (20, 16, 20)), atol=1e-6)


def test_ridge_with_much_noise_knows_nothing():
    x, y, _ = sequences((1, 3, 6, 4), 0)
    assert ridge(torch.from_numpy(x), torch.from_numpy(y), torch.tensor([1e12]).double()).abs().max() < 1e-9


def equation_6(x, y, noise, pool):
    """Kotha et al. 2025: sum of w phi((y - X w) / sigma) over the pool, over the sum of phi((y - X w) / sigma)."""
    density = [np.prod(stats.norm.pdf((y - x @ w) / noise)) for w in pool]
    return sum(p * w for p, w in zip(density, pool, strict=True)) / sum(density)


@given(SHAPES, SEEDS, st.integers(1, 6))
@settings(max_examples=15)
def test_a_pool_s_estimator_is_equation_6(shape, seed, size):
    x, y, _ = sequences(shape, seed)
    noise, pool = (
        np.linspace(0.7, 2, shape[0]),
        np.random.default_rng(seed + 1).standard_normal((shape[0], size, shape[-1])),
    )
    expected = at_every_prefix(x, y, lambda r, before, values: equation_6(before, values, noise[r], pool[r]))
    found = pool_bayes(*map(torch.from_numpy, (x, y, noise, pool)))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@given(SHAPES, SEEDS)
@settings(max_examples=15)
def test_a_pool_of_one_context_is_that_context(shape, seed):
    x, y, _ = sequences(shape, seed)
    pool = np.random.default_rng(seed).standard_normal((shape[0], 1, shape[-1]))
    found = pool_bayes(*map(torch.from_numpy, (x, y, np.ones(shape[0]), pool)))
    np.testing.assert_allclose(found, np.broadcast_to(pool[:, :, None], shape), rtol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_without_noise_one_point_tells_the_context_of_a_pool(noise):
    x, y, w = sequences((2, 30, 5, 3), 3, noise=0.0)
    found = pool_bayes(*map(torch.from_numpy, (x, y, np.full(2, noise), w)))
    np.testing.assert_allclose(found[:, :, 1:], np.broadcast_to(w[:, :, None], (2, 30, 4, 3)), atol=1e-6)
    np.testing.assert_allclose(found[:, :, 0], np.broadcast_to(w.mean(1, keepdims=True), (2, 30, 3)), atol=1e-12)


def test_a_large_pool_s_estimator_is_nearly_the_ridge():
    """As the pool grows its estimator becomes the posterior mean for Gaussian contexts."""
    x, y, _ = sequences((1, 20, 4, 2), 5, noise=1.0)
    pool = np.random.default_rng(6).standard_normal((1, 100_000, 2))
    ours = pool_bayes(*map(torch.from_numpy, (x, y, np.ones(1), pool)))
    limit = ridge(*map(torch.from_numpy, (x, y, np.ones(1))))
    assert (ours - limit).square().mean().sqrt() < 0.02 < limit.square().mean().sqrt()


def test_a_pool_in_many_parts_is_the_pool_in_one(monkeypatch):
    x, y, w = sequences((2, 13, 4, 3), 4)
    arguments = [*map(torch.from_numpy, (x, y, np.ones(2), w))]
    whole = pool_bayes(*arguments)
    monkeypatch.setattr("svl.tasks.context_predictors._MAX_CHUNK_NUMBERS", 5 * 13 * 4)
    torch.testing.assert_close(pool_bayes(*arguments), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("point", range(6))
def test_nothing_at_or_after_a_point_reaches_its_weights(point):
    x, y, w = sequences((1, 8, 6, 3), 7)
    for predictor in (
        lambda x, y: ridge(x, y, torch.ones(1, dtype=torch.float64)),
        least_squares,
        lambda x, y: pool_bayes(x, y, torch.ones(1, dtype=torch.float64), torch.from_numpy(w)),
    ):
        before = predictor(torch.from_numpy(x), torch.from_numpy(y))
        other_x, other_y = x.copy(), y.copy()
        other_x[:, :, point:], other_y[:, :, point:] = 0.5, -2
        after = predictor(torch.from_numpy(other_x), torch.from_numpy(other_y))
        np.testing.assert_allclose(before[:, :, : point + 1], after[:, :, : point + 1], rtol=1e-6, atol=1e-9)
