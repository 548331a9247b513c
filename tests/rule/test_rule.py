"""The rule on problems with known times, and its features against gradients of single examples."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from svl.rule.__main__ import over_fresh, table
from svl.rule.features import BATCHES, SEEDS, _stack, features
from svl.rule.problems import FRESH, PROBLEMS, SIZES, arms
from svl.rule.race import TESTING, TUNING, log_cost, tuned
from svl.rule.rule import NAIVE, Rule, fit, repeat

CHOICES = [FRESH, *(f"{size} x {epochs}" for size in SIZES for epochs in (8, 32))]


def times(best, other=1000.0, fastest=250.0):
    """One choice is four times as fast as all others, at its second rate."""
    seeds = TUNING + TESTING
    return {choice: {"0.5": [other] * seeds, "1": [fastest if choice == best else other] * seeds} for choice in CHOICES}


def seen(noise, dim, growth=0.0):
    return {"noise": noise, "dim": math.log2(dim), "growth": growth, "budget": math.log2(4000 * 64)}


def test_a_choice_is_measured_at_its_best_rate_on_other_seeds():
    measured = times("512 x 8")
    measured["128 x 8"]["2"] = [100.0] * TUNING + [4000.0] * TESTING  # luck of the tuning seeds
    by_choice = tuned(measured)
    assert by_choice["128 x 8"][0] == 100 and by_choice["128 x 8"][1].mean() == 4000
    assert log_cost(measured, "512 x 8") == -4  # against the choice that was raced, on the seeds that count
    assert log_cost(times("512 x 8"), FRESH) == 2


@pytest.mark.parametrize(("scale", "power", "epochs", "threshold"), [(9.0, 0.0, 32, 8.0), (1.0, 2.0, 8, 5.0)])
def test_the_numbers_of_a_rule_are_found_again(scale, power, epochs, threshold):
    truth = Rule(threshold, scale, power, epochs)
    cases = [seen(noise, dim) for noise in (2.0, 4.0, 9.0, 12.0) for dim in (8, 16, 32)]
    problems = {str(number): (case, times(truth(case))) for number, case in enumerate(cases)}
    found = fit(problems)
    assert [found(case) for case in cases] == [truth(case) for case in cases]
    assert np.mean([log_cost(data, found(case)) for case, data in problems.values()]) == 0


def test_a_rule_goes_by_the_feature_that_tells():
    """The noise scale says nothing here, and a faster growth of the norm ratio everything."""
    truth = Rule(0.3, 9.0, 0.0, 8, "growth")
    cases = [seen(noise, 16, growth) for noise in (2.0, 9.0) for growth in (0.0, 0.1, 0.5, 0.9)]
    problems = {str(number): (case, times(truth(case))) for number, case in enumerate(cases)}
    found = fit(problems, ("noise", "growth"))
    assert found.feature == "growth" and [found(case) for case in cases] == [truth(case) for case in cases]
    assert fit(problems, ("noise",)).feature == "noise"


def test_a_rule_is_compared_with_fresh_data():
    """One problem in which all seeds gain 4 times, and one without a gain: exactly 2 in the geometric mean."""
    case = seen(9.0, 14)
    measured = {"a": (case, times("2048 x 32")), "b": (case, times(FRESH, other=500.0, fastest=500.0))}
    assert over_fresh(measured, NAIVE["N = 10 d^2, 32 epochs"]) == pytest.approx([0.5, 0.5, 0.5])
    assert over_fresh(measured, NAIVE["always fresh"]) == [1, 1, 1]
    uneven = {"a": (case, times("2048 x 32") | {FRESH: {"1": [500.0, 2000.0] * ((TUNING + TESTING) // 2)}})}
    value, low, high = over_fresh(uneven, NAIVE["N = 10 d^2, 32 epochs"])
    assert value == pytest.approx(0.2) and 0.125 < low < value < high < 0.5


def test_a_set_as_large_as_stored_data_is_all_of_them():
    measured = {choice: by_rate for choice, by_rate in times("512 x 8").items() if not choice.startswith("2048")}
    assert log_cost(measured, "2048 x 32") == log_cost(measured, FRESH) == 2


def test_a_rule_that_cannot_gain_says_fresh():
    problems = {str(noise): (seen(noise, 16), times(FRESH)) for noise in (3.0, 9.0)}
    assert all(fit(problems)(case) == FRESH for case, _ in problems.values())


def test_the_naive_rules():
    case = seen(9.0, 14)
    assert NAIVE["always fresh"](case) == FRESH
    assert NAIVE["N = 10 d^2, 32 epochs"](case) == "2048 x 32"  # 1,960
    assert NAIVE["1/320 of the budget, 32 epochs"](case) == repeat(4000 * 64 / 320, 32) == "512 x 32"
    printed = table({"a": (case, times("2048 x 32"))}, dict(NAIVE))
    assert "| a | 9.0 | 0.00 | 2048 x 32 | 4.00 | fresh: 4.00 | 2048 x 32: 1.00 | 512 x 32: 4.00 |" in printed


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.slug)
def test_every_problem_has_every_choice_at_every_rate(problem):
    made = arms(problem)
    assert {name.partition(" @ ")[0] for name in made} == {
        choice
        for choice in CHOICES
        if choice == FRESH
        or (
            math.prod(map(int, choice.split(" x "))) < problem.budget
            and int(choice.split(" x ")[0]) < (problem.stored or math.inf)
        )
    }
    assert len({name.partition(" @ ")[2] for name in made}) == len(problem.rates)
    assert len(made) == len(problem.rates) * len({name.partition(" @ ")[0] for name in made})


def test_each_round_fits_and_tests():
    assert {(problem.tests, problem.round) for problem in PROBLEMS} == {(t, r) for t in (True, False) for r in (1, 2)}
    assert len({problem.slug for problem in PROBLEMS}) == len(PROBLEMS)


@pytest.mark.slow
def test_the_noise_is_that_of_single_examples():
    """The output layer's gradient of an example is l'(f) h, with the hidden layer h."""
    problem = next(problem for problem in PROBLEMS if problem.name == "he2, dim 24")
    stack = _stack(problem, "online")
    scales = []
    for replica in range(SEEDS):
        x, y = stack.data.task.examples(stack.key[replica : replica + 1], torch.arange(BATCHES * problem.batch)[None])
        w, b, a, c = (p[replica] for p in stack.parameters_by_name().values())
        hidden = F.relu(x[0] @ w.T + b)
        rows = (2 * ((hidden @ a.T + c)[:, 0] - y[0]))[:, None] * hidden
        variance, mean = rows.var(0).sum(), rows.mean(0).square().sum()
        square = (mean - variance / len(rows)).clamp(min=1e-30)
        scales.append((variance / square).clamp(max=len(rows)).log2())
    # Both are estimates from the same examples, by batches and by examples.
    assert features(problem)["noise"] == pytest.approx(torch.stack(scales).median().item(), abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "modular addition, 37"])
def test_stored_data_and_tokens_have_features(name):
    found = features(next(problem for problem in PROBLEMS if problem.name == name))
    assert set(found) == {"noise", "growth", "memorised", "dim"} and all(map(math.isfinite, found.values()))
