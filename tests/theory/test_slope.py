import numpy as np
import pytest
from scipy import stats

from svl.theory import slope


def test_the_slope_is_that_of_least_squares():
    generator = np.random.default_rng(0)
    x = np.array([10, 30, 100, 1000])
    seeds = [3 * size**0.4 * generator.lognormal(sigma=0.3, size=40) for size in x]
    found = slope.fit(x, seeds)
    plain = stats.linregress(np.log(x), [np.log(one).mean() for one in seeds])
    assert found.exponent.value == pytest.approx(plain.slope, rel=1e-12)
    assert found.decades == pytest.approx(2)
    weights = np.log(x) - np.log(x).mean()
    error = np.sqrt((np.square(weights) * 0.3**2 / 40).sum()) / np.square(weights).sum()
    assert found.exponent.high - found.exponent.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_intervals_cover_what_they_say():
    generator, inside = np.random.default_rng(1), 0
    for _ in range(60):
        found = slope.fit([1, 10, 100], [x**0.5 * generator.lognormal(size=30) for x in (1, 10, 100)])
        inside += found.exponent.low <= 0.5 <= found.exponent.high
    assert stats.binomtest(inside, 60, 0.95).pvalue > 0.01


def test_the_geometric_mean():
    values = np.random.default_rng(2).lognormal(1.0, 0.5, 200)
    found = slope.geometric_mean(values)
    assert found.value == pytest.approx(stats.gmean(values))
    assert found.low < found.value < found.high
    assert np.log(found.high / found.low) == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(200), rel=0.2)


def test_a_ratio_of_geometric_means_has_the_error_of_both():
    generator = np.random.default_rng(0)
    slow, fast = generator.lognormal(np.log(30), 0.4, 200), generator.lognormal(np.log(10), 0.2, 100)
    found = slope.ratio_of_means(slow, fast)
    assert found.value == pytest.approx(np.exp(np.log(slow).mean() - np.log(fast).mean()))
    error = np.hypot(stats.sem(np.log(slow)), stats.sem(np.log(fast)))
    assert np.log(found.high / found.low) == pytest.approx(2 * 1.96 * error, rel=0.1)
