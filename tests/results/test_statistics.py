import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_the_mean_leaves_out_what_is_not_finite_and_repeats_itself():
    values = np.array([0.5, NAN, 0.7, 0.9, 1.0, INF])
    estimate = statistics.mean(values)
    assert estimate.value == pytest.approx(0.775)
    assert 0.5 <= estimate.low < 0.775 < estimate.high <= 1.0
    assert estimate == statistics.mean(values)


def test_a_mean_without_spread_has_an_interval_without_width():
    assert statistics.mean(np.ones(8)) == (1, 1, 1)


@pytest.mark.parametrize(("values", "mean"), [([0.4], 0.4), ([NAN, 0.4], 0.4), ([NAN], NAN), ([], NAN)])
def test_a_single_seed_has_no_interval(values, mean):
    np.testing.assert_equal(tuple(statistics.mean(np.array(values))), (mean, NAN, NAN))


def test_the_interval_of_the_mean_covers_it_about_95_times_in_100():
    draws = np.random.default_rng(1).gamma(2, 1, (300, 24))
    covered = [estimate.low <= 2 <= estimate.high for estimate in map(statistics.mean, draws)]
    # skewed samples of 24 cost some coverage; three standard errors of 300 trials are 0.04
    assert 0.88 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize(("passed", "seeds"), [(0, 16), (7, 16), (16, 16), (1, 1)])
def test_success_has_wilsons_interval(passed, seeds):
    share, z = passed / seeds, stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * seeds)) / (1 + z**2 / seeds)
    half = z / (1 + z**2 / seeds) * np.sqrt(share * (1 - share) / seeds + z**2 / (4 * seeds**2))
    expected = (share, max(0, centre - half), min(1, centre + half))
    np.testing.assert_allclose(statistics.success(np.arange(seeds) < passed), expected, atol=1e-12)


def test_the_band_is_the_percentile_interval_of_the_mean_at_every_point():
    values = np.random.default_rng(0).normal(size=(12, 5))
    values[3, 2:], values[1:, 4] = NAN, NAN
    low, high = statistics.band(values)
    drawn = [np.repeat(np.arange(12), weights.astype(int)) for weights in statistics.resamples(12)]
    for point in range(4):
        means = [np.nanmean(values[seeds, point]) for seeds in drawn]
        np.testing.assert_allclose((low[point], high[point]), np.quantile(means, (0.025, 0.975)))
    assert np.isnan(low[4])
    assert np.isnan(high[4])


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


@settings(max_examples=150, deadline=None)
@given(
    seeds=st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=20),
    draw=st.integers(0, statistics.RESAMPLES - 1),
)
def test_the_median_of_a_resample_is_scipys(seeds, draw):
    at, reached = np.array([t for t, _ in seeds], float), np.array([r for _, r in seeds])
    weights = statistics.resamples(len(seeds))[draw : draw + 1]
    drawn = np.repeat(np.arange(len(seeds)), weights[0].astype(int))
    sample = stats.CensoredData(at[drawn][reached[drawn]], right=at[drawn][~reached[drawn]])
    survival = stats.ecdf(sample).sf
    passed = survival.quantiles[survival.probabilities <= 0.5 + 1e-9]
    assert statistics.median_times(at, reached, weights)[0] == (passed[0] if passed.size else INF)


@pytest.mark.parametrize("seeds", [2, 6, 16, 30, 64])
def test_without_censoring_the_median_is_the_middle_value(seeds):
    at = np.random.default_rng(seeds).permutation(seeds) * 10
    assert statistics.median_time(times(at), "samples").value == np.sort(at)[seeds // 2 - 1]


def test_the_interval_of_the_median_covers_it_about_95_times_in_100():
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        at = generator.exponential(1000, 31).astype(int)
        estimate = statistics.median_time(times(np.minimum(at, 2500), at < 2500), "samples")
        covered.append(estimate.low <= 1000 * np.log(2) <= estimate.high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_arms_whose_seeds_differ_by_a_common_factor_have_that_speed_up_without_doubt():
    """The spread between seeds cancels because arms are resampled together."""
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    gain = statistics.speed_up(times(at), times(3 * at))
    assert gain == (pytest.approx(3), pytest.approx(3), pytest.approx(3), "=")
    shuffled = times(3 * np.random.default_rng(1).permutation(at))
    unpaired = statistics.speed_up(times(at), shuffled)
    assert unpaired.value == pytest.approx(3)
    assert unpaired.low < 2.5 < 3.5 < unpaired.high


def test_speed_ups_pair_seeds_by_their_number():
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    reference = times(2 * at).sample(frac=1, random_state=0)
    assert statistics.speed_up(times(at), reference).low == pytest.approx(2)
    assert statistics.speed_up(times(at), reference.loc[:7], "step").high == pytest.approx(2)
    with pytest.raises(ValueError, match="no seed in common"):
        statistics.speed_up(times(at), reference.set_axis(range(100, 116)))


def test_what_is_not_reached_bounds_the_speed_up():
    fast, never = times(np.arange(100, 110) * 10), times(np.full(10, 5000), False)
    at_least = statistics.speed_up(fast, never)
    assert at_least.bound == ">="
    assert at_least.value == 5000 / 1040
    assert 5000 / 1090 <= at_least.low <= at_least.value
    assert at_least.high == INF
    at_most = statistics.speed_up(never, fast)
    assert (at_most.value, at_most.low, at_most.bound) == (1040 / 5000, 0, "<=")
    neither = statistics.speed_up(never, never)
    np.testing.assert_equal(tuple(neither), (NAN, 0, INF, "?"))


def test_a_reference_reached_by_a_bare_majority_has_an_open_upper_bound():
    at = np.arange(1, 11) * 100
    barely = times(2 * at, at < 700)
    gain = statistics.speed_up(times(at), barely)
    assert gain.bound == "="
    assert gain.value == pytest.approx(2)
    assert gain.high == INF
    assert gain.low > 1


def test_the_logrank_test_is_mantels():
    generator = np.random.default_rng(0)
    arms = [
        times(generator.integers(1, limit, 12) * 10, reached)
        for limit, reached in ((12, np.arange(12) < 10), (30, np.arange(12) < 7))
    ]
    both = pd.concat(arms, keys=[0, 1], names=["arm"]).reset_index()
    excess = variance = 0.0
    for at in both.loc[both["reached"], "samples"].unique():
        at_risk, events = both[both["samples"] >= at], both[(both["samples"] == at) & both["reached"]]
        n, d, first = len(at_risk), len(events), (at_risk["arm"] == 0).sum()
        excess += (events["arm"] == 0).sum() - d * first / n
        if n > 1:
            variance += d * first / n * (1 - first / n) * (n - d) / (n - 1)
    expected = stats.chi2.sf(excess**2 / variance, 1)
    assert statistics.logrank_p(*arms) == pytest.approx(expected)
    assert np.isnan(statistics.logrank_p(*(arm.assign(reached=False) for arm in arms)))


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
