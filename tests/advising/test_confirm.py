"""The confirming test, compared with other implementations of its two parts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from svl.advising.confirm import Gain, decisive, gain_in_metric, gain_in_time, is_recommended, metric_margin
from svl.advising.trial import Trial, trials
from svl.reproduction.outcome import Outcome
from svl.results.statistics import Estimate

SEEDS = st.integers(0, 2**31)


def trial(time, final=None, end=3000.0):
    time = np.asarray(time, float)
    final = np.zeros(time.shape) if final is None else np.asarray(final, float)
    return Trial(np.minimum(time, end), time <= end, final, end)


def history(times, end=3000):
    """Accuracy 0 before the time to the target and 1 from it on."""
    rows = []
    for seed, time in enumerate(times):
        points = [(0, 0.0), *([(int(time), 1.0)] if time <= end else []), (end, 1.0 if time <= end else 0.0)]
        rows += [{"seed": seed, "step": step, "samples": 8 * step, "val/accuracy": value} for step, value in points]
    return pd.DataFrame(rows).assign(diverged=False)


@given(SEEDS, st.integers(6, 40))
def test_the_gain_is_that_of_the_figures_claims(seed, count):
    rng = np.random.default_rng(seed)
    times = {name: np.round(rng.lognormal(7, 0.7, count)) + 1 for name in ("arm", "fresh")}
    histories = {name: history(values) for name, values in times.items()}
    expected = Outcome("val/accuracy", 0.9, histories, level=0.9).gain("arm", "fresh", "step").ratio
    found = trials(histories, "val/accuracy", 0.9)
    assert gain_in_time(found["arm"], found["fresh"]).estimate == pytest.approx(expected)


@given(SEEDS, st.integers(8, 40))
def test_the_exact_test_is_wilcoxons(seed, count):
    rng = np.random.default_rng(seed)
    arm, fresh = (np.exp(rng.normal(5, 0.4, count)) for _ in range(2))
    expected = stats.wilcoxon(np.log(fresh) - np.log(arm), alternative="greater", method="exact").pvalue
    assert gain_in_time(trial(arm), trial(fresh)).p == pytest.approx(expected)


@given(SEEDS, st.integers(8, 40))
def test_a_difference_of_the_metric_is_tested_in_the_same_way(seed, count):
    rng = np.random.default_rng(seed)
    arm, fresh = rng.normal(0.8, 0.05, (2, count))
    gain = gain_in_metric(trial(np.ones(count), arm), trial(np.ones(count), fresh), 0.02)
    expected = stats.wilcoxon(arm - fresh, alternative="greater", method="exact").pvalue
    assert gain.p == pytest.approx(expected)
    # One-sided 95 % bounds: the interval holds Student's two-sided one of 90 %.
    low, high = stats.ttest_rel(arm, fresh).confidence_interval(0.9)
    assert gain.estimate.low <= low + 1e-12 and gain.estimate.high >= high - 1e-12


def test_a_seed_that_never_learns_is_later_than_all_that_do():
    fresh = np.linspace(500, 900, 16)
    arm = fresh / 3
    assert gain_in_time(trial(arm), trial(fresh)).is_shown
    arm[:4] = np.inf  # a quarter of the seeds never learn
    assert not gain_in_time(trial(arm), trial(fresh)).is_shown


def test_neither_learns():
    never = trial(np.full(16, np.inf))
    gain = gain_in_time(never, never)
    assert not gain.is_shown and gain.estimate.value == 1 and gain.p == 1


@given(SEEDS, st.integers(8, 32))
def test_identical_arms_are_never_recommended(seed, count):
    arm = trial(np.random.default_rng(seed).lognormal(6, 1, count))
    assert not gain_in_time(arm, arm).is_shown


def test_every_comparison_has_to_succeed():
    good, poor = Gain(Estimate(1.5, 1.3, 1.7), 0.001, 1.1), Gain(Estimate(1.4, 1.05, 1.7), 0.001, 1.1)
    untested = Gain(Estimate(1.4, 1.2, 1.7), 0.2, 1.1)
    assert is_recommended({"best": good})
    assert not is_recommended({"best": good, "same": poor})
    assert not is_recommended({"best": good, "same": untested})
    assert decisive({"best": good, "same": poor}) == "same"
    unknown = Gain(Estimate(2.0, float("nan"), float("nan")), 0.001, 1.1)
    assert not unknown.is_shown and decisive({"best": good, "same": unknown}) == "same"


def test_the_margin_of_a_metric():
    fresh = trial(np.ones(4), [-2.0, -2.0, -4.0, -4.0])
    assert metric_margin("val/accuracy", fresh) == 0.02
    assert metric_margin("val/loss", fresh) == pytest.approx(0.06)


def test_a_diverged_replica_never_learns_and_has_the_worst_metric():
    rows = history([500.0, 600.0])
    gone = rows.assign(diverged=rows["seed"].eq(1) & rows["step"].ge(600))
    gone.loc[gone["diverged"], "val/accuracy"] = np.nan
    found = trials({"arm": gone, "fresh": rows}, "val/accuracy", 0.9)
    assert found["arm"].reached.tolist() == [True, False]
    assert found["arm"].time.tolist() == [500.0, 3000.0]
    assert found["arm"].final.tolist() == [1.0, 0.0]
