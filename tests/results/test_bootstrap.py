"""The bootstrap intervals by which claims are defined."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl.results import bootstrap, statistics

NAN, INF = np.nan, np.inf


def times(samples, reached=True):
    samples = np.asarray(samples)
    index = pd.Index(range(len(samples)), name="seed")
    return pd.DataFrame({"step": samples // 10, "samples": samples, "reached": reached}, index=index)


def test_the_mean_has_the_wider_of_two_intervals():
    values = np.random.default_rng(0).gamma(1, 1, 12)
    result = stats.bootstrap((values,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(0))
    student = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    expected = [
        f(*bounds) for f, bounds in zip((min, max), zip(result.confidence_interval, student, strict=True), strict=True)
    ]
    assert bootstrap.mean(values) == pytest.approx((values.mean(), *expected))
    assert bootstrap.mean(np.array([NAN, 0.5])).value == 0.5


def test_few_seeds_that_agree_exactly_prove_nothing():
    np.testing.assert_equal(tuple(bootstrap.mean(np.ones(5))), (1, NAN, NAN))
    assert bootstrap.mean(np.ones(6)) == (1, 1, 1)
    np.testing.assert_equal(tuple(bootstrap.ratio_of_medians(times([10] * 5), times([30] * 5))), (3, NAN, NAN, "="))
    assert bootstrap.ratio_of_medians(times([10] * 6), times([30] * 6)) == (3, 3, 3, "=")


def test_arms_whose_seeds_differ_by_a_common_factor_have_that_speed_up_without_doubt():
    """The spread between seeds cancels because arms are resampled together."""
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    gain = bootstrap.ratio_of_medians(times(at), times(3 * at))
    assert gain == (pytest.approx(3), pytest.approx(3), pytest.approx(3), "=")
    shuffled = times(3 * np.random.default_rng(1).permutation(at))
    unpaired = bootstrap.ratio_of_medians(times(at), shuffled)
    assert unpaired.value == pytest.approx(3)
    assert unpaired.low < 2.5 < 3.5 < unpaired.high


def test_speed_ups_pair_seeds_by_their_number():
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    reference = times(2 * at).sample(frac=1, random_state=0)
    assert bootstrap.ratio_of_medians(times(at), reference).low == pytest.approx(2)
    assert bootstrap.ratio_of_medians(times(at), reference.loc[:7], "step").high == pytest.approx(2)
    with pytest.raises(ValueError, match="no seed in common"):
        bootstrap.ratio_of_medians(times(at), reference.set_axis(range(100, 116)))


def test_what_is_not_reached_bounds_the_speed_up():
    fast, never = times(np.arange(100, 110) * 10), times(np.full(10, 5000), False)
    at_least = bootstrap.ratio_of_medians(fast, never)
    assert at_least.bound == ">="
    assert at_least.value == 5000 / 1040
    assert 5000 / 1090 <= at_least.low <= at_least.value
    assert at_least.high == INF
    at_most = bootstrap.ratio_of_medians(never, fast)
    assert (at_most.value, at_most.low, at_most.bound) == (1040 / 5000, 0, "<=")
    neither = bootstrap.ratio_of_medians(never, never)
    np.testing.assert_equal(tuple(neither), (NAN, 0, INF, "?"))


def test_a_reference_reached_by_a_bare_majority_has_an_open_upper_bound():
    at = np.arange(1, 11) * 100
    barely = times(2 * at, at < 700)
    gain = bootstrap.ratio_of_medians(times(at), barely)
    assert gain.bound == "="
    assert gain.value == pytest.approx(2)
    assert gain.high == INF
    assert gain.low > 1


@settings(max_examples=150, deadline=None)
@given(
    seeds=st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=20),
    draw=st.integers(0, bootstrap.RESAMPLES - 1),
)
def test_the_median_of_a_resample_is_scipys(seeds, draw):
    at, reached = np.array([t for t, _ in seeds], float), np.array([r for _, r in seeds])
    weights = bootstrap.resamples(len(seeds))[draw : draw + 1]
    drawn = np.repeat(np.arange(len(seeds)), weights[0].astype(int))
    sample = stats.CensoredData(at[drawn][reached[drawn]], right=at[drawn][~reached[drawn]])
    survival = stats.ecdf(sample).sf
    passed = survival.quantiles[survival.probabilities <= 0.5 + 1e-9]
    assert statistics.median_times(at, reached, weights)[0] == (passed[0] if passed.size else INF)
