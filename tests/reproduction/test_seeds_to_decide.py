"""How many seeds decide a claim, and that adding them until they do has a controlled error: by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from svl.reproduction import sequential, verdict
from svl.reproduction.claims.ahead import Ahead
from svl.reproduction.power import seeds_to_decide
from svl.reproduction.verdict import Verdict, judge
from svl.results import bootstrap
from svl.results.statistics import Estimate

YES, NO, OPEN = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.UNDECIDED


def made(estimate, claimed=(0.0, math.inf), is_ratio=False):
    return verdict.Tested("a", "b", Estimate(*estimate), judge(Estimate(*estimate), *claimed), "", claimed, is_ratio)


def test_the_number_of_seeds_is_that_of_the_normal_test():
    effect, spread, now = 0.2, 1.0, 30
    half = 1.959964 * spread / math.sqrt(now)
    found = seeds_to_decide(made((effect, effect - half, effect + half)), now)
    expected = ((1.959964 + 0.841621) * spread / effect) ** 2
    assert found == math.ceil(expected)
    # In fact so many seeds decide it with a probability of 80 %.
    means = np.random.default_rng(0).normal(effect, spread / math.sqrt(found), 20_000)
    assert np.mean(means - 1.959964 * spread / math.sqrt(found) > 0) == pytest.approx(0.8, abs=0.01)


def test_an_equivalence_needs_the_seeds_of_its_nearer_end():
    found = seeds_to_decide(made((1.0, 1 / 1.5, 1.5), (0.8, 1.25), is_ratio=True), 10)
    half = math.log(1.5) / math.log(1.25)
    assert found == math.ceil(10 * half**2 * ((1.959964 + 0.841621) / 1.959964) ** 2)


@pytest.mark.parametrize(
    "claim",
    [
        made((0.2, 0.1, 0.3)),  # decided
        made((0.2, math.nan, math.nan)),  # without an interval
        made((0.2, 0.1, 0.3))._replace(verdict=OPEN),  # undecided for another reason
        made((0.2, -0.1, 0.5))._replace(by_seeds=False),
    ],
)
def test_what_seeds_do_not_decide_has_no_number(claim):
    assert seeds_to_decide(claim, 10) is None


def test_four_looks_have_the_error_of_one():
    """Pocock: at a true effect of 0, all looks together decide in 5 % of the cases, half of them on each side."""
    generator, runs, group = np.random.default_rng(1), 6000, 16
    values = generator.standard_normal((runs, sequential.LOOKS * group))
    decided = []
    for level in (sequential.LEVEL, 0.95):
        sign = np.zeros(runs)
        for look in range(1, sequential.LOOKS + 1):
            part = values[:, : look * group]
            reach = stats.t.ppf((1 + level) / 2, look * group - 1) * stats.sem(part, axis=1)
            sign = np.where(sign == 0, (part.mean(1) > reach) * 1.0 - (part.mean(1) < -reach), sign)
        decided.append(((sign > 0).mean(), (sign < 0).mean()))
    assert decided[0] == pytest.approx((0.025, 0.025), abs=0.007)
    assert min(decided[1]) > 0.05  # as the same looks with 95 % intervals would


def test_the_intervals_of_claims_have_the_level_of_the_looks():
    values = np.random.default_rng(0).standard_normal(20)
    found = bootstrap.mean(values, sequential.LEVEL)
    student = stats.t.interval(sequential.LEVEL, 19, values.mean(), stats.sem(values))
    assert found.low <= student[0] + 1e-12 and found.high >= student[1] - 1e-12
    assert found.high - found.low > 1.1 * (bootstrap.mean(values).high - bootstrap.mean(values).low)


@pytest.mark.slow
def test_seeds_that_are_added_decide_a_claim_without_truth_rarely(curves):
    from svl.reproduction.outcome import Outcome

    def outcome(number, ratio):
        generator = np.random.default_rng(number)
        onsets = {name: scale * 300 * np.exp(generator.normal(0, 0.3, 32)) for name, scale in (("a", 1), ("b", ratio))}

        def test(groups):
            arms = {name: curves(own[: 8 * groups], every=50) for name, own in onsets.items()}
            return [Ahead("a", "b").test(Outcome("val/accuracy", 0.9, arms, level=sequential.LEVEL))]

        return sequential.until_decided(test)[-1]

    null = [outcome(number, 1).verdict for number in range(80)]
    assert null.count(YES) <= 6 and null.count(NO) <= 6
    effects = [outcome(number, 1.5) for number in range(20)]
    assert sum(look.verdict is YES for look in effects) >= 18
    assert min(look.groups for look in effects) < sequential.LOOKS
