"""Speed-ups, their p-values and verdicts, against SciPy's permutation tests and by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl.results import comparison
from svl.results.comparison import can_decide, holm, is_paired, rank_sum_tails, signed_rank_tails, speed_up, verdict

NAN, INF = np.nan, np.inf


def times(samples, reached=True):
    samples = np.asarray(samples)
    index = pd.Index(range(len(samples)), name="seed")
    return pd.DataFrame({"step": samples // 10, "samples": samples, "reached": reached}, index=index)


small = st.lists(st.integers(1, 6), min_size=4, max_size=5)


@settings(max_examples=60, deadline=None)
@given(first=small, second=small)
def test_the_rank_sums_tails_are_shares_of_all_divisions(first, second):
    first, second = (np.array(values[: min(len(first), len(second))], float) for values in (first, second))
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, len(second))])
    observed = ranks[len(first) :].sum()
    assert rank_sum_tails(first, second) == pytest.approx(((sums >= observed).mean(), (sums <= observed).mean()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_signed_ranks_tails_are_shares_of_all_signs(values):
    differences = np.array(values, float)
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = np.array([ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=len(kept))])
    observed = ranks[kept > 0].sum()
    assert signed_rank_tails(differences) == pytest.approx(((sums >= observed).mean(), (sums <= observed).mean()))


@pytest.mark.parametrize("seeds", [8, 40, 64, 65, 300])
def test_without_ties_p_values_are_scipys(seeds):
    generator = np.random.default_rng(seeds)
    differences = generator.normal(0.2, 1, seeds)
    method = "exact" if seeds <= 64 else "asymptotic"
    for tail, alternative in zip(signed_rank_tails(differences), ("greater", "less"), strict=True):
        expected = stats.wilcoxon(differences, alternative=alternative, method=method, correction=True).pvalue
        assert tail == pytest.approx(expected, rel=1e-6)
    if seeds <= 40:
        first, second = generator.normal(size=(2, seeds))
        expected = stats.mannwhitneyu(second, first, alternative="greater", method="exact").pvalue
        assert rank_sum_tails(first, second)[0] == pytest.approx(expected)


def test_holms_correction_by_hand():
    assert holm([0.01, 0.04, NAN, 0.03]) == pytest.approx([0.03, 0.06, NAN, 0.06], nan_ok=True)
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_seeds_are_paired_where_that_leaves_room_for_verdicts():
    assert [is_paired(seeds, 1) for seeds in (4, 7, 8, 64)] == [False, False, True, True]
    assert [is_paired(16, comparisons) for comparisons in (1, 100, 1000)] == [True, True, False]


@pytest.mark.parametrize("comparisons", [1, 6, 40])
@pytest.mark.parametrize("seeds", range(2, 14))
def test_what_can_be_decided_is_decided_by_the_clearest_data(seeds, comparisons):
    arms = (times(np.arange(1, seeds + 1) * 100), times(np.arange(1, seeds + 1) * 10_000))
    p = speed_up(*arms, comparisons=comparisons).p
    assert can_decide(seeds, comparisons) == (p * comparisons <= 0.05)


def test_arms_whose_seeds_differ_by_a_common_factor_have_that_speed_up_without_doubt():
    """The spread between seeds cancels in pairs."""
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    gain = speed_up(times(at), times(3 * at))
    assert gain[:4] == (pytest.approx(3), pytest.approx(3), pytest.approx(3), "=")
    assert gain.p == pytest.approx(2 / 2**16)
    shuffled = speed_up(times(at), times(3 * np.random.default_rng(1).permutation(at)))
    assert shuffled.value == pytest.approx(3)
    assert shuffled.low < 2.5 < 3.5 < shuffled.high


def test_the_interval_of_pairs_is_that_of_walsh_averages():
    """Without ties and censoring: between order statistics of all averages of two log-ratios (Hodges and Lehmann)."""
    generator = np.random.default_rng(3)
    fast, slow = (np.exp(generator.normal(center, 1, 12)) * 1e6 for center in (0, 1))
    logs = np.log(slow / fast)
    walsh = np.sort([(logs[i] + logs[j]) / 2 for i in range(12) for j in range(i, 12)])
    outside = int(stats.wilcoxon.ppf(0.025, 12)) if hasattr(stats.wilcoxon, "ppf") else 13  # Lehmann 1975, table H
    gain = speed_up(times(fast), times(slow))
    assert np.log([gain.low, gain.high]) == pytest.approx([walsh[outside], walsh[-1 - outside]], abs=1e-6)


def test_the_interval_of_few_seeds_is_between_ratios_of_two_seeds():
    fast, slow = np.array([100.0, 200, 400, 700]), np.array([900.0, 1600, 2000, 7000])
    gain = speed_up(times(fast), times(slow))
    # Only complete separation has a p-value below 5 %: 2 of 70 divisions.
    assert (gain.low, gain.high) == pytest.approx((900 / 700, 7000 / 100))
    assert gain.p == pytest.approx(2 / 70)


def test_speed_ups_pair_seeds_by_their_number():
    at = np.random.default_rng(0).integers(100, 10_000, 16) * 10
    reference = times(2 * at).sample(frac=1, random_state=0)
    assert speed_up(times(at), reference).low == pytest.approx(2)
    assert speed_up(times(at), reference.loc[:7], "step").high == pytest.approx(2)
    assert speed_up(times(at), reference.iloc[:9]).seeds == 9
    with pytest.raises(ValueError, match="no seed in common"):
        speed_up(times(at), reference.set_axis(range(100, 116)))


def test_what_is_not_reached_bounds_the_speed_up():
    fast, never = times(np.arange(100, 110) * 10), times(np.full(10, 5000), False)
    at_least = speed_up(fast, never)
    assert (at_least.bound, at_least.value, at_least.high) == (">=", 5000 / 1040, INF)
    assert 5000 / 1090 <= at_least.low <= at_least.value
    at_most = speed_up(never, fast)
    assert (at_most.value, at_most.low, at_most.bound) == (1040 / 5000, 0, "<=")
    neither = speed_up(never, never)
    np.testing.assert_equal(tuple(neither), (NAN, 0, INF, "?", 1, 10))


def test_a_reference_reached_by_a_bare_majority_may_never_be():
    at = np.arange(1, 11) * 100
    barely = times(np.where(at < 600, 2 * at, 1200), at < 600)
    gain = speed_up(times(at), barely)
    assert (gain.bound, gain.value, gain.high) == ("=", pytest.approx(2), INF)
    assert gain.low > 1


def test_two_seeds_with_equal_times_are_too_few():
    """Two seeds that reach the target at the same measurement, in both arms: nothing is known of the spread."""
    gain = speed_up(times([640, 640]), times([480, 480]))
    np.testing.assert_equal(tuple(gain), (0.75, NAN, NAN, "=", NAN, 2))
    assert verdict(gain._asdict(), NAN, 1) == "too few seeds"


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        *[(1.01, 3.0, 0.04, "faster"), (1.01, INF, 0.05, "faster"), (0.2, 0.99, 0.01, "slower")],
        *[(0.9, 1.1, 0.01, "undecided"), (1.0, 2.0, 0.01, "undecided"), (0.5, 1.0, 0.01, "undecided")],
        *[(1.01, 3.0, 0.06, "undecided"), (0.0, INF, 1.0, "undecided")],
    ],
)
def test_a_verdict_is_an_interval_that_excludes_1_and_a_corrected_p_value(low, high, p, expected):
    assert verdict({"value": 1.0, "low": low, "high": high, "seeds": 8}, p, 2) == expected


def test_equal_times_of_many_seeds_are_no_difference():
    same = times(np.full(64, 320))
    gain = speed_up(same, same)
    assert (gain.value, gain.p) == (1, 1)
    assert verdict(gain._asdict(), gain.p, 1) == comparison.UNDECIDED
