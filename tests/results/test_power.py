"""Numbers of seeds that a verdict needs, against normal theory, the simulations of the statistics page, and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from svl.bench.intervals import TIMES, called_different
from svl.results.comparison import Times
from svl.results.power import MOST, chance, seeds_needed, to_gain

EXACT = np.inf


def pair(differences, common=0.0):
    """Times whose log-ratios, reference over arm, are the given ones."""
    differences = np.asarray(differences, float)
    base = 5 + common * np.random.default_rng(7).normal(size=len(differences))
    return Times(base, EXACT), Times(base + differences, EXACT)


@pytest.mark.parametrize("effect", [0.3, 0.6])
def test_the_number_is_that_of_normal_theory_for_the_signed_rank_test(effect):
    # The normal distribution's quantiles stand for it, so that the run itself has no sampling error.
    arm, reference = pair(effect + stats.norm.ppf((np.arange(2000) + 0.5) / 2000), common=3.0)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    expected = (z / effect) ** 2 * np.pi / 3  # its efficiency against Student's t is 3 / pi
    assert seeds_needed(arm, reference) == pytest.approx(expected, rel=0.15, abs=2)


@pytest.mark.parametrize("seeds", [5, 16, 64])
def test_the_probability_is_that_of_verdicts_in_simulated_reports(seeds):
    generator = np.random.default_rng(3)
    arm, reference = generator.normal(size=(2, 4000))
    expected = called_different(TIMES["lognormal"], seeds, ratios=(2.0,), draws=1000).mean()
    found = chance(Times(arm + 5, EXACT), Times(reference + 5 + np.log(2), EXACT), seeds, draws=600)
    assert found == pytest.approx(expected, abs=0.06)


def test_equal_arms_are_called_different_in_one_direction_in_at_most_half_of_five_percent():
    arm, reference = pair(stats.norm.ppf((np.arange(500) + 0.5) / 500))
    assert chance(arm, reference, 16, draws=1000) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 1000)


def test_more_comparisons_need_more_seeds():
    arm, reference = pair(0.7 + stats.norm.ppf((np.arange(200) + 0.5) / 200))
    needed = [seeds_needed(arm, reference, comparisons, draws=100) for comparisons in (1, 4, 12)]
    assert needed == sorted(needed) and needed[0] < needed[-1]


def test_too_few_seeds_never_decide():
    arm, reference = pair(np.full(8, 2.0))
    assert chance(arm, reference, 3) == 0
    assert seeds_needed(arm, reference) == 4


def test_arms_without_a_difference_are_not_decided_by_any_number():
    arm, reference = pair([-0.3, 0.3] * 20)
    assert seeds_needed(arm, reference, draws=50) is None
    assert chance(arm, reference, MOST, draws=50) < 0.2


def test_seeds_that_never_reach_the_target_are_drawn_like_all_others():
    generator = np.random.default_rng(1)
    log = np.where(generator.random(200) < 0.5, np.inf, 3.0)
    reached_all = Times(np.full(200, 2.0), 4.0)
    half = chance(reached_all, Times(log, 4.0), 8, draws=400)
    assert half == 1.0  # every seed of the arm is sooner
    nobody = Times(np.full(200, np.inf), 4.0)
    assert chance(nobody, nobody, 64, draws=50) == 0


def test_a_slower_arm_is_censored_at_the_end_of_the_run():
    arm, reference = Times(np.full(10, 2.0), 3.0), Times(np.full(10, 2.0), 3.0)
    assert chance(arm, reference, 8, log_ratio=5.0, draws=20) == 1.0  # never reached, and the reference is
    assert chance(arm, reference, 8, log_ratio=-1.0, draws=20) == 1.0


def test_the_ratio_that_gives_a_gain_is_that_of_the_medians():
    def times(samples, reached=True):
        return pd.DataFrame({"step": samples, "samples": samples, "reached": reached}, index=range(len(samples)))

    arm, reference = times([100] * 5), times([300] * 5)
    assert to_gain(arm, reference, 3) == pytest.approx(0)
    assert to_gain(arm, reference, 1.5) == pytest.approx(np.log(2))
    assert np.isnan(to_gain(times([100] * 5, reached=False), reference, 2))
