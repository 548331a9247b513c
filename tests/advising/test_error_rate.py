"""How often repetition is recommended where no candidate gains more than the margin: at most 5 %, by simulation.

A scenario fails only if an error rate of 5 % is refuted with a confidence of 99.9 % (Clopper and Pearson 1934), so that
the tests of all scenarios together fail by chance with a probability of about 1 %.
"""

import math

import numpy as np
import pytest
from scipy import stats

from svl.advising.phased import fresh
from svl.advising.race import Arm
from svl.bench.advising import EXTENT, GAINS, NULLS, default_plan, simulate

SMALL = default_plan(180)


def refuted(recommended, races, level=0.999):
    """Whether a share of at most 5 % is refuted: the lower Clopper-Pearson bound is above it."""
    return recommended > 0 and stats.beta.ppf(1 - level, recommended, races - recommended + 1) > 0.05


@pytest.mark.parametrize("scenario", [NULLS[0], NULLS[7], NULLS[-1]], ids=lambda scenario: scenario.name)
def test_a_gap_that_is_not_there_is_found_in_at_most_one_of_twenty_races(scenario):
    result = simulate(scenario, 30, default_plan(), seed=1)
    assert not refuted(result.recommended, result.races)


@pytest.mark.slow
@pytest.mark.parametrize("plan", [default_plan(), SMALL], ids=["default", "small"])
@pytest.mark.parametrize("scenario", NULLS, ids=lambda scenario: scenario.name)
def test_the_error_rate_over_thousands_of_races(scenario, plan):
    result = simulate(scenario, 2000, plan, seed=2)
    assert not refuted(result.recommended, result.races)


def test_a_gap_of_two_is_found():
    scenario = next(scenario for scenario in GAINS if scenario.gain == {"subset": 2.0})
    result = simulate(scenario, 20, default_plan(), seed=3)
    assert result.recommended >= 16 and result.found > 1.9


REACHED = {
    "30 % never": 0.7,
    "the run ends at the median time": 0.5,
    "mostly common, the run ends at the median time": 0.5,
    "exponential": 1 - math.exp(-3000 / 700),
}


@pytest.mark.parametrize("scenario", NULLS, ids=lambda scenario: scenario.name)
def test_the_simulated_law_is_what_it_says(scenario):
    reference = Arm(fresh(EXTENT), 1.0)
    trial = scenario.trials(np.random.default_rng(0), [reference], 4000)[reference.name]
    assert trial.reached.mean() == pytest.approx(REACHED.get(scenario.name, 1.0), abs=0.04)
    assert trial.time.max() <= scenario.end
