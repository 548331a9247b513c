import numpy as np
import pandas as pd
import pytest
from scipy import stats

from svl.results import statistics

NAN, INF = np.nan, np.inf


def times(samples, reached=True):
    samples = np.asarray(samples)
    index = pd.Index(range(len(samples)), name="seed")
    return pd.DataFrame({"step": samples // 10, "samples": samples, "reached": reached}, index=index)


def rows(metric, diverged=None, name="val/accuracy"):
    """A history of one arm from an array [seed, step], a step every 10 and 1280 samples."""
    metric = np.array(metric, np.float32)
    seed, index = np.indices(metric.shape)
    diverged = np.zeros(metric.shape, bool) if diverged is None else np.array(diverged)
    columns = {"step": 10 * index, "samples": 1280 * index, "seed": seed, name: metric, "diverged": diverged}
    return pd.DataFrame({key: value.T.ravel() for key, value in columns.items()})


def test_the_mean_has_students_interval_over_the_finite_seeds():
    values = np.array([0.5, NAN, 0.7, 0.9, 1.0, INF])
    estimate = statistics.mean(values)
    finite = values[np.isfinite(values)]
    assert estimate.value == pytest.approx(0.775)
    assert estimate[1:] == pytest.approx(stats.t.interval(0.95, 3, finite.mean(), stats.sem(finite)))
    two = statistics.mean(np.array([0.0, 1.0]))
    assert two.high - two.low == pytest.approx(stats.t.ppf(0.975, 1))  # 12.7 standard errors of 1/2, on either side


def test_the_interval_of_an_accuracy_stays_between_0_and_1():
    values = np.array([0.9, 0.99, 1.0])
    assert statistics.mean(values).high > 1
    estimate = statistics.mean(values, statistics.range_of("val/accuracy"))
    assert (estimate.low, estimate.high) == (pytest.approx(statistics.mean(values).low), 1)
    assert [statistics.range_of(name) for name in ("val/perplexity", "val/loss")] == [(1, INF), (-INF, INF)]


@pytest.mark.parametrize("seeds", [2, 3, 64])
def test_seeds_without_spread_do_not_pretend_certainty(seeds):
    # The mean of equal numbers can differ from them by rounding.
    np.testing.assert_equal(statistics.mean(np.full(seeds, 0.1))[1:], (NAN, NAN))
    low, high = statistics.band(np.stack([np.full(seeds, 0.1), np.arange(seeds)], axis=1))
    assert np.isnan([low[0], high[0]]).all() and low[1] < high[1]


@pytest.mark.parametrize(("values", "mean"), [([0.4], 0.4), ([NAN, 0.4], 0.4), ([NAN], NAN), ([], NAN)])
def test_a_single_seed_has_no_interval(values, mean):
    np.testing.assert_equal(tuple(statistics.mean(np.array(values))), (mean, NAN, NAN))


@pytest.mark.parametrize(("passed", "seeds"), [(0, 16), (7, 16), (16, 16), (1, 1)])
def test_success_has_wilsons_interval(passed, seeds):
    share, z = passed / seeds, stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * seeds)) / (1 + z**2 / seeds)
    half = z / (1 + z**2 / seeds) * np.sqrt(share * (1 - share) / seeds + z**2 / (4 * seeds**2))
    expected = (share, max(0, centre - half), min(1, centre + half))
    np.testing.assert_allclose(statistics.success(np.arange(seeds) < passed), expected, atol=1e-12)


def test_the_band_is_the_interval_of_the_mean_at_every_point():
    values = np.random.default_rng(0).normal(size=(12, 5))
    values[3, 2:], values[1:, 4] = NAN, NAN
    low, high = statistics.band(values, (-0.5, 0.5))
    for point in range(5):
        expected = statistics.mean(values[:, point], (-0.5, 0.5))
        np.testing.assert_allclose((low[point], high[point]), (expected.low, expected.high))
    assert np.isnan(low[4])


def test_time_to_target_of_seeds_that_pass_dip_never_pass_or_diverge():
    metric = [[0.5, 0.9, 0.7, 1.0], [0.5, 0.6, 0.7, 0.8], [0.5, 0.6, NAN, NAN], [0.5, 1.0, NAN, NAN], [NAN] * 4]
    found = statistics.time_to_target(rows(metric), "val/accuracy", 0.9)
    assert list(found["step"]) == [10, 30, 10, 10, 0]
    assert list(found["samples"]) == [1280, 3840, 1280, 1280, 0]
    assert list(found["reached"]) == [True, False, False, True, False]


def test_a_loss_passes_its_target_from_above():
    found = statistics.time_to_target(rows([[1.0, 0.5, 0.1], [1.0, 0.9, INF]], name="val/loss"), "val/loss", 0.5)
    assert list(found["step"]) == [10, 10]
    assert list(found["reached"]) == [True, False]


def test_kaplan_and_meiers_median_by_hand():
    # S falls to 5/6 at 1, to 5/6 * 3/4 = 0.625 at 3, to 0.625 * 1/2 = 0.3125 at 5
    arm = times([10, 20, 30, 40, 50, 70], [True, False, True, False, True, False])
    assert statistics.median_time(arm, "samples").value == 50
    assert statistics.median_time(arm, "step").value == 5
    # without the event at 5, S stays at 0.625
    assert statistics.median_time(arm.assign(reached=[True, False, True, False, False, False]), "step").value == INF


@pytest.mark.parametrize("seeds", [2, 6, 16, 30, 64])
def test_without_censoring_the_median_is_the_middle_value(seeds):
    at = np.random.default_rng(seeds).permutation(seeds) * 10
    assert statistics.median_time(times(at), "samples").value == np.sort(at)[seeds // 2 - 1]


@pytest.mark.parametrize("seeds", [5, 6, 9, 20, 64])
def test_the_interval_of_a_median_lies_between_the_order_statistics_that_hold_it(seeds):
    """By the binomial distribution: the k-th smallest of n is above the median if fewer than k are below it."""
    at = 10 * np.arange(1, seeds + 1)
    holds = [1 - 2 * stats.binom.cdf(k - 1, seeds, 0.5) for k in range(1, seeds // 2 + 1)]
    outer = max(1, sum(share >= 0.95 for share in holds))
    estimate = statistics.median_time(times(at), "samples")
    assert 10 * outer <= estimate.low < 10 * (outer + 1)
    assert estimate.low + estimate.high == 10 * (seeds + 1)
    if seeds == 5:
        assert (estimate.low, holds[0]) == (10, 0.9375)


def test_few_seeds_give_a_median_no_interval_and_censored_ones_a_bound():
    np.testing.assert_equal(tuple(statistics.median_time(times([10, 20, 30, 40]), "samples")), (20, NAN, NAN))
    at, reached = np.arange(1, 9) * 10, np.arange(8) < 5
    estimate = statistics.median_time(times(at, reached), "samples")
    assert (estimate.value, estimate.high) == (40, INF)
    assert estimate.low == statistics.median_time(times(at), "samples").low
    never = statistics.median_time(times(np.full(8, 100), False), "samples")
    assert tuple(never) == (INF, 100, INF)


def test_values_within_a_budget():
    metric = [[0.5, NAN, 0.7, NAN], [0.5, 0.6, NAN, NAN], [0.5, NAN, 0.9, 1.0]]
    diverged = [[False] * 4, [False, False, True, True], [False] * 4]
    arm = rows(metric, diverged)
    # float32 as logged
    last = np.float32([0.7, NAN, 1.0])
    np.testing.assert_array_equal(statistics.value_at(arm, "val/accuracy"), last)
    np.testing.assert_array_equal(statistics.value_at(arm, "val/accuracy", 2000.0), np.float32([0.5, 0.6, 0.5]))


def test_the_paired_difference_drops_what_seeds_share():
    shared = np.random.default_rng(0).normal(0, 5, (10, 1))
    gap = np.array([0.0, 1.0, 2.0]) + np.linspace(-0.1, 0.1, 10)[:, None]
    difference = statistics.paired_difference(rows(shared + gap), rows(shared * [1, 1, 1]), "val/accuracy", 1300.0)
    assert difference.value == pytest.approx(1, abs=1e-6)
    assert 0.9 < difference.low < difference.high < 1.1
