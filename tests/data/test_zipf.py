import numpy as np
import pytest
import torch
from scipy import stats

from svl.data import Zipf
from svl.data.zipf_law import cumulative_weights
from svl.tasks import Parity

BIG = Parity(128, 3)


def law(size, exponent):
    """Zipf's law on [0, size) by SciPy, uniform for exponent 0."""
    return stats.zipfian(exponent, size, loc=-1).pmf(np.arange(size)) if exponent else np.full(size, 1 / size)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("size", [1, 2, 50, 1000])
def test_the_distribution_is_scipy_s(size, exponent):
    found = cumulative_weights(torch.tensor([size]), torch.tensor([exponent], dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(found / found[-1], law(size, exponent).cumsum(), rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.5])
def test_examples_are_as_frequent_as_their_ranks_say(lab, exponent):
    rule = lab.Rule(Zipf(BIG, 40, exponent, batch_size=2000), seeds=3, first_seed=2)
    count = np.bincount(rule.stream(10).ravel(), minlength=40)
    expected = law(40, exponent) * count.sum()
    rare = expected < 5  # chi-square wants five of each
    if rare.any():
        count, expected = (np.append(v[~rare], v[rare].sum()) for v in (count, expected))
    assert stats.chisquare(count, expected).pvalue > 1e-3


def test_draws_are_independent_of_each_other_and_of_other_seeds(lab):
    stream = lab.Rule(Zipf(BIG, 3, 1.0, batch_size=2000), seeds=2).stream(20)
    pair = np.bincount(stream[0, 1:] * 3 + stream[0, :-1], minlength=9)
    assert stats.chisquare(pair, np.outer(law(3, 1), law(3, 1)).ravel() * pair.sum()).pvalue > 1e-3
    both = np.bincount(stream[0] * 3 + stream[1], minlength=9)
    assert stats.chisquare(both, np.outer(law(3, 1), law(3, 1)).ravel() * both.sum()).pvalue > 1e-3


def test_whole_batches_are_drawn(lab):
    rule = lab.Rule(Zipf(BIG, 105, 1.0, "batches", batch_size=10), seeds=10, total_steps=400)
    stream = rule.stream(400).reshape(4000, 10)
    first = stream[:, 0]
    np.testing.assert_array_equal(stream, first[:, None] + np.arange(10))
    assert set(first) == set(range(0, 100, 10))  # what is left over is not used
    assert stats.chisquare(np.bincount(first // 10), law(10, 1) * 4000).pvalue > 1e-3


def test_sizes_and_exponents_vary_by_replica(lab):
    vary = {"data.size": [4, 64], "data.exponent": [0.0, 2.0]}
    stream = lab.Rule(Zipf(BIG, 4, batch_size=4000), vary=vary).stream(3)
    for row, (size, exponent) in zip(stream, ((4, 0), (4, 2), (64, 0), (64, 2)), strict=True):
        assert row.max() < size
        assert np.mean(row == 0) == pytest.approx(law(size, exponent)[0], abs=0.02)
