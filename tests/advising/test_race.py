"""The race finds the best candidate with its best rate, and tunes fresh data as much as any candidate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svl.advising import plan
from svl.advising.candidate import Extent
from svl.advising.families import first_candidates, neighbours
from svl.advising.phased import fresh
from svl.advising.race import Arm, Standing, race, rates, standings
from svl.advising.trial import Trial

EXTENT = Extent(3000, 128)
FRESH, CANDIDATES = fresh(EXTENT), first_candidates(EXTENT)


def trial(time, final=1.0, end=3000.0):
    time = np.atleast_1d(np.asarray(time, float))
    return Trial(np.minimum(time, end), time < end, np.full(time.shape, final), end)


def raced(time, factors=(0.3, 1.0, 3.0), replicas=600):
    """A race in which an arm's time is a function of the arm alone; and the arms of each round."""
    made = plan.make(replicas, len(CANDIDATES), len(factors), "--budget", 1)
    rounds = []

    def measure(number, arms):
        rounds.append(list(arms))
        return {arm.name: trial(time(arm)) for arm in arms}

    return (
        race(FRESH, CANDIDATES, factors, made, measure, lambda candidate: neighbours(candidate, EXTENT)),
        rounds,
        made,
    )


@given(st.sampled_from(CANDIDATES), st.floats(0.3, 3.0))
def test_the_best_candidate_wins_at_a_rate_near_its_best_one(best, optimum):
    def time(arm):
        return (300 if arm.candidate == best else 900) * np.exp(np.log(arm.factor / optimum) ** 2)

    result, _, _ = raced(time)
    assert result.winner.candidate == best
    # The last spacing is a quarter of that of the grid, on a logarithmic scale.
    for arm in (result.winner, result.fresh):
        assert abs(np.log(arm.factor / optimum)) < np.log(10**0.5) / 4 + 1e-9


@pytest.mark.parametrize("optimum", [0.12, 8.0])
def test_a_best_rate_beyond_the_grid_is_followed(optimum):
    result, _, _ = raced(lambda arm: 500 * np.exp(0.5 * np.log(arm.factor / optimum) ** 2))
    assert abs(np.log(result.fresh.factor / optimum)) < abs(np.log((0.3 if optimum < 1 else 3) / optimum)) / 2


def test_an_optimum_between_the_first_sizes_is_found_among_the_neighbours():
    def time(arm):
        size = arm.candidate.numbers.get("size", 10**6) if arm.candidate.family == "subset" else 10**6
        return 200 + 100 * np.log(size / 3000) ** 2

    result, _, _ = raced(time)
    assert result.winner.candidate.settings["data.sizes"] == [3000]


@given(st.integers(0, 2**31), st.integers(180, 2000))
def test_fresh_data_have_as_many_rates_as_every_candidate_in_every_round(seed, replicas):
    rng = np.random.default_rng(seed)
    _, rounds, made = raced(lambda arm: rng.uniform(100, 4000), replicas=replicas)
    for arms, stage in zip(rounds, made.rounds, strict=True):
        counts = {}
        for arm in arms:
            counts[arm.candidate.name] = counts.get(arm.candidate.name, 0) + 1
        assert FRESH.name in counts and len(set(counts.values())) == 1
        assert len(arms) <= stage.arms
        assert len({arm.name for arm in arms}) == len(arms)


def test_seeds_that_never_learn_count_with_the_end_and_equal_times_are_told_apart_by_the_metric():
    slow, censored = trial([2000.0, 2000.0]), trial([1000.0, 9000.0])
    # Mean logarithms: log 2000 against (log 1000 + log 3000) / 2 = log 1732.
    assert censored.score < slow.score
    never = [trial([9000.0, 9000.0], final) for final in (0.5, 0.7)]
    assert never[1].score < never[0].score


def test_standings_are_in_the_order_of_the_best_arms():
    arms = [Arm(candidate, factor) for candidate in (FRESH, *CANDIDATES[:2]) for factor in (1.0, 2.0)]
    times = dict(zip((arm.name for arm in arms), (500, 700, 900, 400, 600, 600), strict=True))
    ranked = standings(arms, {name: trial(time) for name, time in times.items()})
    assert [(each.candidate, each.factor) for each in ranked] == [
        (CANDIDATES[0], 2.0),
        (FRESH, 1.0),
        (CANDIDATES[1], 1.0),
    ]


@pytest.mark.parametrize(("best", "expected"), [(1.0, [0.5, 1, 2]), (3.0, [3, 6, 12]), (0.3, [0.075, 0.15, 0.3])])
def test_next_rates_lie_around_the_best_or_beyond_the_edge(best, expected):
    assert rates(Standing(FRESH, best, trial(1.0), (0.3, 1.0, 3.0)), 2.0) == pytest.approx(expected)
