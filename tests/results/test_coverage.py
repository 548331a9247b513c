"""Intervals hold the truth, and verdicts are wrong, as often as docs/statistics.md says: simulations."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from svl.bench import intervals
from svl.bench.intervals import METRICS, SEEDS, TIMES, called_different, mean_coverage, speed_up_coverage
from svl.results import bootstrap, comparison

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
DRAWS = 50
"""Of each distribution in the fast tests, which pool all of them."""


def error(draws):
    """Three standard deviations of a share of 5 % in as many simulations."""
    return 3 * (0.05 * 0.95 / draws) ** 0.5


@pytest.mark.parametrize("seeds", SEEDS)
def test_means_of_what_is_not_much_skewed_are_held_in_93_to_97_of_100_cases(seeds):
    normal, lacking = mean_coverage(METRICS["normal"], seeds)
    assert (0.945 < normal < 0.955, lacking) == (True, 0)
    near, _ = mean_coverage(METRICS["accuracy near 0.8, Beta(8, 2)"], seeds)
    assert 0.923 < near < 0.97
    on_examples, lacking = mean_coverage(METRICS["accuracy of 97 % on 256 examples"], seeds)
    # Two seeds of equal accuracy have no interval; those of unequal accuracy are at least 1/256 apart.
    assert 0.93 < on_examples < (1.001 if seeds == 2 else 0.97)
    assert lacking < 0.12


def test_a_bootstrap_would_hold_the_mean_of_two_seeds_in_half_of_the_cases():
    """Why few seeds have no bootstrap: the audit's 50 %, and exactly that, as two values lie around the mean."""
    draws = np.random.default_rng(0).normal(size=(4000, 2))
    held = np.mean((draws.min(1) <= 0) & (draws.max(1) >= 0))
    assert held == pytest.approx(0.5, abs=0.025)
    assert np.isnan(bootstrap.mean(np.array([0.3, 0.3])).low)


def test_half_of_the_width_is_students_and_grows_towards_two_seeds():
    assert [intervals.statistics.student(np.arange(float(n)))[1] for n in (2, 3, 16)] == pytest.approx(
        [stats.t.ppf(0.975, n - 1) * stats.sem(np.arange(n)) for n in (2, 3, 16)]
    )


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_means_of_seeds_that_learn_or_not_are_held_if_seeds_differ(share):
    kind = next(name for name in METRICS if name.endswith("exactly equal") and name.startswith("half" * (share == 0.5)))
    for seeds in (2, 3, 4, 5, 8):
        held, lacking = mean_coverage(intervals.learned(share), seeds)
        assert held > 0.93, kind
        assert lacking == pytest.approx(share**seeds + (1 - share) ** seeds, abs=0.012)


@pytest.mark.parametrize("seeds", [4, 5, 8, 16])
def test_speed_ups_are_held_in_95_of_100_cases(seeds):
    held = np.mean([speed_up_coverage(p, seeds, draws=DRAWS, seed=place) for place, p in enumerate(TIMES.values())])
    assert held >= 0.95 - error(DRAWS * len(TIMES))


def test_the_interval_of_a_speed_up_is_what_its_test_does_not_reject():
    """The simulations look at the test; here are the intervals themselves."""
    generator, held = np.random.default_rng(0), []
    for _ in range(15):
        fast, slow = np.exp(generator.normal(8, 1, (2, 8)))
        frames = [intervals.pd.DataFrame({"step": at, "reached": at < 9000}) for at in (fast, 3 * slow)]
        frames = [frame.assign(step=frame["step"].clip(upper=9000)) for frame in frames]
        _, low, high, *_ = comparison.speed_up(*frames, "step")
        tested = [comparison.Times.of(frame, "step") for frame in frames]
        for ratio in (0.5, 1, 3, 10):
            inside = comparison.p_value(*tested, True, np.log(ratio)) > 0.05
            # The interval is widened to hold the ratio of medians.
            assert inside <= (low <= ratio * (1 + 1e-6) and ratio * (1 - 1e-6) <= high)
        held.append(low <= 3 <= high)
    assert np.mean(held) > 0.8


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 8, 16, 64])
def test_equal_arms_are_called_different_in_at_most_5_of_100_cases(seeds):
    wrong = np.mean([called_different(p, seeds, draws=DRAWS, seed=place) for place, p in enumerate(TIMES.values())])
    assert wrong <= 0.05 + error(DRAWS * len(TIMES))
    assert seeds > 3 or wrong == 0


@pytest.mark.parametrize("values", ["01234567", "00123345", "00001111", "00000112", "00011122"])
def test_no_eight_values_are_called_different_in_more_than_5_of_100_divisions(values):
    """The level is exact, whatever the ties: over all divisions of the values into two arms of four seeds."""
    values = np.array(list(map(float, values)))
    wrong = []
    for chosen in itertools.combinations(range(8), 4):
        arms = [values[list(chosen)], np.delete(values, chosen)]
        wrong.append(comparison.p_value(*(comparison.Times(arm, np.inf) for arm in arms), False) <= 0.05)
    assert len(wrong) == 70
    assert np.mean(wrong) == (2 / 70 if values[3] < values[4] else 0)


@pytest.mark.parametrize("differences", ["12345678", "11112223", "00000123", "11111111", "00123456"])
def test_no_eight_pairs_are_called_different_in_more_than_5_of_100_cases(differences):
    sizes = np.array(list(map(float, differences)))
    wrong = []
    for signs in itertools.product([-1, 1], repeat=8):
        arms = comparison.Times(np.zeros(8), np.inf), comparison.Times(sizes * signs, np.inf)
        wrong.append(comparison.p_value(*arms, True) <= 0.05)
    assert np.mean(wrong) <= 0.05
    assert any(wrong) == (np.count_nonzero(sizes) >= 6)


def test_clear_gaps_are_found():
    for name, seeds, ratios in (
        ("lognormal, mostly common to a seed", 8, [2.0]),
        ("lognormal", 8, [10.0]),
        ("lognormal", 8, [10.0] * 6),
        ("30 % censored", 16, [4.0]),
    ):
        # 94 % and more in long simulations
        assert called_different(TIMES[name], seeds, ratios, draws=80).mean() > 0.85


def rows_of(title):
    """The rows of a table of the page: the numbers by name."""
    text = PAGE.read_text(encoding="utf-8")
    block = text[text.index(f"{title}") :].split("\n\n")[1]
    lines = [re.split(r"\s*\|\s*", line.strip("| ")) for line in block.splitlines()[2:]]
    return {name: [float(cell.split()[0]) if cell != "-" else None for cell in cells] for name, *cells in lines}


def test_the_page_tells_the_coverage_of_means():
    table = rows_of("Intervals of means that hold the mean")
    assert table.keys() == METRICS.keys()
    for name, cells in table.items():
        assert cells == pytest.approx([100 * mean_coverage(METRICS[name], n)[0] for n in SEEDS], abs=0.6), name
    exact = rows_of("Intervals of probabilities of success")
    assert exact["0.8"] == pytest.approx([100 * intervals.success_coverage(0.8, n) for n in SEEDS], abs=0.06)


def test_no_verdict_on_the_page_is_wrong_in_more_than_5_of_100_cases():
    one, six = (
        rows_of(f"Equal arms that are called different, in % of reports: {title}")
        for title in ("one arm", "one or more of six")
    )
    assert one.keys() == TIMES.keys()
    assert max(max(cells) for cells in [*one.values(), *six.values()]) <= 5 + 100 * error(intervals.REPORTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exponential", "ties: a few measurements", "30 % censored"])
def test_the_page_tells_the_errors_of_verdicts(name):
    """Some cells of the tables, simulated anew."""
    cells = dict(
        zip(SEEDS, rows_of("Equal arms that are called different, in % of reports: one arm")[name], strict=True)
    )
    for seeds in (4, 8, 64):
        assert cells[seeds] == pytest.approx(100 * called_different(TIMES[name], seeds).mean(), abs=0.06)


@pytest.mark.slow
def test_the_page_tells_the_coverage_of_speed_ups_and_medians():
    """Some cells of the tables, simulated anew."""
    cells = dict(zip(SEEDS, rows_of("Intervals of a speed-up of 3")["lognormal"], strict=True))
    for seeds in (4, 8, 16):
        assert cells[seeds] == pytest.approx(100 * speed_up_coverage(TIMES["lognormal"], seeds), abs=0.06)
    for name, row in rows_of("Intervals of median times").items():
        expected = [100 * intervals.median_coverage(TIMES[name], n) for n in SEEDS[3:]]
        assert row[3:] == pytest.approx(expected, abs=0.06)
        assert 92 < min(expected) <= max(expected) < 98
