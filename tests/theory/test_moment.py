import itertools

import numpy as np
import pytest

from svl.theory import moment


def test_moments_are_those_of_signs():
    matrices = moment.empirical(np.random.default_rng(0), dim=7, samples=33, replicas=20)
    counts = matrices * 33
    np.testing.assert_array_equal(counts, counts.round())
    assert (counts % 2 == 1).all()  # sums of an odd number of signs
    np.testing.assert_array_equal(matrices, matrices.transpose(0, 2, 1))
    np.testing.assert_array_equal(matrices[:, 0, 1], 1)  # y x_1 x_2 = 1
    diagonals = matrices.diagonal(axis1=1, axis2=2)
    np.testing.assert_array_equal(diagonals, np.broadcast_to(diagonals[:, :1], diagonals.shape))  # x_i^2 = 1
    # y x_1 x_i = x_2 x_i
    np.testing.assert_array_equal(matrices[:, 0, 2:] != 0, True)


@pytest.mark.parametrize("labels", ["true", "random"])
def test_the_mean_of_moments_is_the_population_s(labels):
    dim, samples, replicas = 6, 16, 4000
    mean = moment.empirical(np.random.default_rng(1), dim, samples, replicas, labels).mean(0)
    inputs = np.array(list(itertools.product([-1, 1], repeat=dim)))
    exact = (inputs * inputs[:, :2].prod(1)[:, None]).T @ inputs / len(inputs)
    np.testing.assert_array_equal(moment.population(dim), exact)
    error = np.abs(mean - (exact if labels == "true" else 0)).max()
    assert 0 < error < 5 / np.sqrt(samples * replicas)


@pytest.mark.parametrize("labels", ["true", "random"])
@pytest.mark.parametrize(("dim", "samples"), [(3, 2), (6, 40), (12, 5)])
def test_the_signal_s_mean_square(labels, dim, samples):
    generator, draws = np.random.default_rng(2), 40000
    w = generator.standard_normal((draws, dim))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    q = np.einsum("ri,rij,rj->r", w, moment.empirical(generator, dim, samples, draws, labels), w)
    error = np.square(q).std() / np.sqrt(draws)
    assert np.square(q).mean() == pytest.approx(moment.mean_square_signal(dim, samples, labels), abs=4 * error)


def test_the_population_s_signal_is_of_order_one_over_d():
    assert np.sqrt(moment.mean_square_signal(1000, np.inf)) == pytest.approx(2 / 1000, rel=2e-3)
    assert moment.mean_square_signal(1000, np.inf, "random") == 0
