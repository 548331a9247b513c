"""The plan stays within the budget, and the budget that an error asks for is enough."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svl.advising import plan
from svl.errors import SettingError

CANDIDATES, RATES = st.integers(1, 30), st.integers(3, 9)


@given(st.floats(500, 10**6), CANDIDATES, RATES)
def test_a_plan_stays_within_its_budget_and_each_part_within_its_share(replicas, candidates, rates):
    try:
        made = plan.make(replicas, candidates, rates, "--budget", 1)
    except SettingError:
        return
    shares = [*plan.SHARES, plan.CONFIRMING]
    assert all(part <= share * replicas for part, share in zip(made.replicas, shares, strict=True))
    assert sum(made.replicas) <= replicas
    assert made.confirming >= plan.FEWEST_CONFIRMING


@given(CANDIDATES, RATES, st.sampled_from([1.0, 384_000.0, 3000.0, 0.013]))
def test_the_budget_that_the_error_asks_for_is_enough(candidates, rates, unit):
    with pytest.raises(SettingError) as caught:
        plan.make(10, candidates, rates, "--budget", unit)
    amount = float(re.search(r"at least ([\d,.]+)", str(caught.value))[1].rstrip(".").replace(",", ""))
    plan.make(amount / unit, candidates, rates, "--budget", unit)


@given(st.floats(500, 10**5), CANDIDATES, RATES)
def test_a_larger_budget_never_has_fewer_candidates_or_rates(replicas, candidates, rates):
    smaller, larger = (plan.make(amount, candidates, rates, "--budget", 1) for amount in (replicas, 2 * replicas))
    assert smaller.candidates <= larger.candidates and smaller.rates <= larger.rates
    assert smaller.confirming <= larger.confirming


def test_fewer_rates_span_the_same_range():
    made = plan.make(400, 14, 5, "--budget", 1)
    assert made.rates == 3
    assert made.thinned([0.25, 0.5, 1.0, 2.0, 4.0]) == [0.25, 1.0, 4.0]
