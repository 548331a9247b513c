"""Each claim on histories whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from svl.errors import SettingError
from svl.reproduction import claims
from svl.reproduction.claims.ahead import Ahead
from svl.reproduction.claims.best_ratio import BestRatio
from svl.reproduction.claims.faster import Faster
from svl.reproduction.claims.interior_optimum import InteriorOptimum
from svl.reproduction.claims.no_gap import NoGap
from svl.reproduction.claims.trend import Trend
from svl.reproduction.verdict import Verdict, together

YES, NO, OPEN = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.UNDECIDED


def measured(onsets):
    """When the first measurement at or after an onset is, in steps."""
    return 10 * np.ceil(np.asarray(onsets) / 10)


def test_faster_is_the_mean_difference_at_preset_budgets(outcome, onsets):
    fast, slow = onsets(200), onsets(500, number=1)
    data = outcome(small=fast, large=slow)
    found = Faster("small", "large").test(data)
    # An accuracy of 1 from the onset on, 0.5 before, at 100, 200, ..., 1,000 steps.
    budgets = np.arange(100, 1001, 100)
    seen = [0.5 * (measured(one)[:, None] <= budgets).mean(1) for one in (fast, slow)]
    expected = stats.ttest_1samp(seen[0] - seen[1], 0).confidence_interval(0.95)
    assert found.estimate.value == pytest.approx(np.mean(seen[0] - seen[1]))
    assert found.estimate.low <= expected.low + 1e-12 and found.estimate.high >= expected.high - 1e-12
    assert (found.verdict, Faster("large", "small").test(data).verdict) == (YES, NO)
    assert f"target {measured(slow).mean() / measured(fast).mean():.3g} [" in found.note


def test_times_decide_where_the_claim_is_about_times(outcome, onsets):
    fast, slow = onsets(200), onsets(500, number=1)
    data = outcome(small=fast, large=slow)
    found = Faster("small", "large", decided_by="time").test(data)
    fast, slow = measured(fast), measured(slow)
    error = stats.sem(slow / slow.mean() - fast / fast.mean()) * stats.t.ppf(0.975, 31)
    log = np.log(slow.mean() / fast.mean())
    assert found.estimate.value == pytest.approx(np.exp(log))
    assert found.estimate.low <= np.exp(log - error) * (1 + 1e-12)
    assert found.estimate.high >= np.exp(log + error) * (1 - 1e-12)
    assert found.verdict is YES
    assert Faster("small", "large", by=5).test(data).verdict is NO
    assert Faster("small", "large", by=2.4, unit="step").test(data).verdict is OPEN


def test_what_never_gets_there_counts_with_the_end_of_the_run(outcome, onsets):
    data = outcome(small=onsets(200), large=np.full(32, 2000.0))
    found = Faster("small", "large", decided_by="time").test(data)
    assert found.verdict is YES
    assert found.estimate.value == pytest.approx(1000 / measured(onsets(200)).mean())
    assert found.note.startswith("medians: at least ") and found.note.endswith("large: 32/32 never")
    neither = Faster("small", "large").test(outcome(small=[2000.0] * 8, large=[2000.0] * 8))
    assert neither.verdict is OPEN
    assert Faster("large", "small", by=1.1).test(data).verdict is not YES


# An optimum at an end is looked for at two ends.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "most"),
    [(Faster("a", "b"), 6), (Ahead("a", "b"), 6), (Trend(["a", "b"], "up"), 6), (InteriorOptimum(["a", "b", "c"]), 10)],
)
def test_where_nothing_differs_a_claim_is_rarely_decided(outcome, onsets, claim, most):
    """At a level of 2.5 % a side, with room for chance and for a bootstrap of few seeds, which promises too much."""
    verdicts = []
    for number in range(60):
        arms = {name: onsets(300, seeds=24, number=3 * number + place) for place, name in enumerate("abc")}
        verdicts.append(claim.test(outcome(**arms)).verdict)
    assert verdicts.count(YES) <= 6
    assert verdicts.count(NO) <= most


def test_ahead_is_the_paired_difference_and_has_to_hold_at_every_point(outcome, onsets):
    fast, slow = onsets(200), onsets(500, number=1)
    data = outcome(small=fast, large=slow)
    found = Ahead("small", "large").test(data)
    # accuracy is 1 from the onset on, 0.5 before; 100 measurements after the first
    expected = np.mean(measured(slow) - measured(fast)) / 10 * 0.5 / 100
    assert found.estimate.value == pytest.approx(expected, abs=1e-12)
    assert found.verdict is YES
    assert Ahead("small", "large", by=0.5).test(data).verdict is NO
    early, late = (Ahead("small", "large", at=[point]).test(data) for point in (0.3, 1.0))
    assert (early.verdict, late.estimate.value) == (YES, 0.0)
    both = Ahead("small", "large", at=[0.3, 1.0]).test(data)
    assert both.verdict is OPEN
    assert both.estimate.value == min(early.estimate.value, late.estimate.value)
    share = [np.mean(measured(one) <= 300) for one in (fast, slow)]
    assert early.estimate.value == pytest.approx(0.5 * (share[0] - share[1]))


def test_a_loss_is_better_below(outcome, onsets):
    data = outcome(small=onsets(200), large=onsets(500, number=1))
    for rows in data.arms.values():
        rows["val/loss"] = 1 - rows["val/accuracy"]
        rows["norm"] = -rows["val/accuracy"]
    assert Ahead("small", "large", metric="val/loss").test(data).verdict is YES
    assert Ahead("small", "large", metric="norm").test(data).verdict is NO
    assert Ahead("small", "large", metric="norm", higher=False).test(data).verdict is YES


def test_no_gap_is_a_test_of_equivalence(outcome, onsets):
    same = onsets(300, seeds=64, spread=0.1)
    near, far = onsets(310, seeds=64, spread=0.1, number=1), onsets(900, seeds=64, spread=0.1, number=1)
    margin = onsets(372, seeds=64, spread=0.1, number=2)
    data = outcome(a=same, near=near, far=far, margin=margin, never=np.full(64, 2000.0))
    assert NoGap("a", "near").test(data).verdict is YES
    assert NoGap("a", "far").test(data).verdict is NO
    assert NoGap("far", "a").test(data).verdict is NO
    assert NoGap("a", "margin").test(data).verdict is OPEN
    # Where nobody reaches the target, equal times are those of the run.
    assert NoGap("never", "never").test(data).verdict is OPEN


@pytest.mark.parametrize("by", ["time", "run"])
def test_an_optimum_is_interior_where_both_ends_are_worse(outcome, onsets, by):
    def valley(*medians):
        named = zip("abcd", medians, strict=True)
        return outcome(**{name: onsets(median, number=place) for place, (name, median) in enumerate(named)})

    claim = InteriorOptimum(list("abcd"), by=by)
    found = claim.test(valley(600, 400, 200, 700))
    assert found.verdict is YES
    assert found.note == "c, chosen on 16 seeds and tested on 16"
    assert claim.test(valley(100, 200, 400, 800)).verdict is NO
    assert claim.test(valley(800, 400, 200, 200)).verdict is not YES


def test_an_effect_that_is_too_small_to_count_is_none(outcome, onsets):
    data = outcome(a=onsets(1000, seeds=64), b=onsets(800, seeds=64, number=1), c=onsets(1000, seeds=64, number=2))
    assert InteriorOptimum(["a", "b", "c"], by="time").test(data).verdict is YES
    assert InteriorOptimum(["a", "b", "c"], by="time", least=0.6).test(data).verdict is NO


def test_an_optimums_effect_is_found_on_the_seeds_it_was_not_chosen_on(outcome, onsets):
    data = outcome(a=onsets(600), b=onsets(200, number=1), c=onsets(500, number=2))
    tested = [np.log(measured(onsets(m, number=n)))[16:] for m, n in ((200, 1), (500, 2))]
    found = InteriorOptimum(["a", "b", "c"], by="time").test(data)
    assert found.estimate.value == pytest.approx(np.mean(tested[1] - tested[0]))


def test_a_trend_of_gaps_is_the_slope_of_log_ratios(outcome, onsets):
    medians = {"s2": 100, "l2": 120, "s4": 100, "l4": 200, "s8": 100, "l8": 500}
    arms = {name: onsets(median, number=place) for place, (name, median) in enumerate(medians.items())}
    pairs = [["s2", "l2"], ["s4", "l4"], ["s8", "l8"]]
    found = Trend(pairs, "up").test(outcome(**arms))
    gaps = [np.log(measured(arms[large]) / measured(arms[small])) for small, large in pairs]
    assert found.estimate.value == pytest.approx(np.polyfit([0, 1, 2], np.array(gaps), 1)[0].mean())
    assert found.verdict is YES
    assert Trend(pairs, "down").test(outcome(**arms)).verdict is NO


def test_a_gap_that_is_hidden_by_the_end_of_the_run_has_not_shrunk(outcome, onsets):
    slow = np.full(32, 2000.0)
    data = outcome(s2=onsets(100), l2=onsets(300, number=1), s4=slow, l4=slow)
    found = Trend([["s2", "l2"], ["s4", "l4"]], "down").test(data)
    assert found.estimate.low > 0  # which says nothing
    assert found.verdict is OPEN
    grows = outcome(s2=onsets(100), l2=onsets(120, number=1), s4=onsets(100, number=2), l4=slow)
    assert Trend([["s2", "l2"], ["s4", "l4"]], "up").test(grows).verdict is YES


def test_a_trend_does_not_go_back(outcome, onsets):
    medians = {"s2": 100, "l2": 112, "s4": 100, "l4": 800, "s8": 100, "l8": 190}
    arms = {name: onsets(median, number=place) for place, (name, median) in enumerate(medians.items())}
    found = Trend([["s2", "l2"], ["s4", "l4"], ["s8", "l8"]], "up").test(outcome(**arms))
    assert (found.estimate.low > 0, found.verdict) == (True, OPEN)


def diverging(rows, seeds, step):
    """The same histories with some seeds that become non-finite at a step."""
    gone = rows["seed"].isin(seeds) & (rows["step"] >= step)
    return rows.assign(diverged=gone, **{"val/accuracy": rows["val/accuracy"].mask(gone)})


@pytest.mark.parametrize(
    "claim",
    [
        Faster("small", "large"),
        Ahead("small", "large"),
        Ahead("small", "large", at=[0.5, 1.0]),
        Trend(["large", "small"], "up"),
    ],
)
def test_an_arm_whose_seeds_diverge_is_not_ahead(outcome, onsets, claim):
    data = outcome(small=onsets(200), large=onsets(500, number=1))
    data.arms["small"] = diverging(data.arms["small"], range(4, 32), 60)
    assert claim.test(data).verdict is not YES


def test_an_optimum_is_not_where_seeds_diverge(outcome, onsets):
    data = outcome(a=onsets(500), b=onsets(200, number=1), c=onsets(500, number=2))
    assert InteriorOptimum(["a", "b", "c"]).test(data).verdict is YES
    data.arms["b"] = diverging(data.arms["b"], range(4, 32), 60)
    assert InteriorOptimum(["a", "b", "c"]).test(data).verdict is not YES


def test_the_order_of_points_does_not_matter_where_all_diverge(outcome, onsets):
    data = outcome(small=onsets(200), large=onsets(500, number=1))
    data.arms["large"] = diverging(data.arms["large"], range(32), 400)
    verdicts = {Ahead("small", "large", at=points).test(data).verdict for points in ([0.3, 0.9], [0.9, 0.3])}
    assert verdicts == {YES}


def test_a_grid_where_nothing_is_learned_has_no_best_rates(curves, outcome):
    grid = pd.concat([curves([2000.0] * 8, qk=qk, rate=rate) for qk in (1.0, 8.0) for rate in (0.5, 1.0)])
    assert BestRatio("a", "qk", "rate").test(outcome(grids={"a": grid}, a=[2000.0] * 8)).verdict is OPEN


def test_measurements_too_far_apart_do_not_show_that_there_is_no_gap(outcome):
    data = outcome(a=np.full(16, 11.0), b=np.full(16, 18.0))
    found = NoGap("a", "b").test(data)
    assert (found.estimate.value, found.verdict) == (1.0, OPEN)


def test_a_trend_of_a_metric_is_that_of_its_mean_over_the_run(outcome, onsets):
    data = outcome(a=onsets(300), b=onsets(500, number=1), c=onsets(800, number=2))
    assert Trend(["a", "b", "c"], "down").test(data).verdict is YES
    assert Trend(["c", "b", "a"], "down").test(data).verdict is NO


def test_the_ratio_of_best_rates_is_where_the_grid_is_best(curves, outcome, onsets):
    def grid(best, seeds=12):
        parts = []
        for qk in (1.0, 2.0, 4.0, 8.0):
            for rate in (0.5, 1.0):
                slower = abs(np.log2(qk / best[0])) + abs(np.log2(rate / best[1]))
                own = onsets(200 * (1 + slower), seeds=seeds, spread=0.05, number=int(10 * qk + rate))
                parts.append(curves(own, qk=qk, rate=rate))
        return pd.concat(parts)

    data = outcome(grids={"large": grid((4.0, 1.0)), "small": grid((1.0, 1.0))}, a=onsets(100))
    found = BestRatio("large", "qk", "rate", above=2).test(data)
    assert (found.estimate, found.verdict) == ((4.0, 4.0, 4.0), YES)
    assert found.note == "best at qk = 4, rate = 1"
    assert BestRatio("small", "qk", "rate", above=2).test(data).verdict is NO
    alone = outcome(grids={"large": grid((4.0, 1.0))}, settings={"large": {"base": 8.0}}, a=onsets(100))
    assert BestRatio("large", "qk", "base").test(alone).estimate.value == 0.5


@pytest.mark.parametrize(
    ("verdicts", "figure"),
    [([], OPEN), ([YES, YES], YES), ([YES, OPEN], OPEN), ([YES, OPEN, NO], NO), ([NO], NO), ([OPEN], OPEN)],
)
def test_a_figure_is_reproduced_where_all_its_claims_are(verdicts, figure):
    assert together(verdicts) is figure


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"claim": "fastest"}, "c.0.claim"),
        ("faster", "c.0.claim"),
        ({"claim": "faster", "arm": "small"}, "c.0.than"),
        ({"claim": "faster", "arm": "small", "than": "lage"}, "c.0"),
        ({"claim": "faster", "arm": "small", "than": "large", "units": "step"}, "c.0.units"),
        ({"claim": "ahead", "arm": "small", "than": "large", "at": [0]}, "c.0.at"),
        ({"claim": "ahead", "arm": "small", "than": "large", "at": []}, "c.0.at"),
        ({"claim": "ahead", "arm": "small", "than": "large", "at": ["x"]}, "c.0.at"),
        ({"claim": "interior optimum", "arms": ["small", "large", "small"]}, "c.0.arms"),
        ({"claim": "no gap", "arm": "small", "than": "large", "within": 1.5}, "c.0.within"),
        ({"claim": "faster", "arm": "small", "than": "large", "by": 0.5}, "c.0.by"),
        ({"claim": "faster", "arm": "small", "than": "large", "decided_by": "luck"}, "c.0.decided_by"),
        ({"claim": "interior optimum", "arms": ["small", "large"]}, "c.0.arms"),
        ({"claim": "trend", "along": ["small", ["small", "large"]], "goes": "up"}, "c.0.along"),
        ({"claim": "trend", "along": ["small", "large"], "goes": "away"}, "c.0.goes"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(content, key):
    with pytest.raises(SettingError) as refused:
        claims.read("c.0", content, {"small": None, "large": None})
    assert refused.value.key == key
