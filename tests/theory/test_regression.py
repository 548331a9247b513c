"""The risk recursions equal simulated SGD within Monte-Carlo error, and closed forms to rounding."""

import numpy as np
import pytest
import torch

from svl.data import Online
from svl.tasks import LinearRegression
from svl.theory import regression
from svl.theory.regression import Problem

COUNTS = (1, 2, 3, 5, 8)


def plain(x, y, rate, order):
    """SGD by a loop over single examples."""
    v = np.zeros(x.shape[1])
    for place in order:
        v = v + rate * (y[place] - x[place] @ v) * x[place]
    return v


@pytest.mark.parametrize("exponent", [0.0, 1.5])
def test_one_pass_equals_simulation(exponent):
    problem, replicas, samples = Problem.power_law(5, exponent, noise=0.5), 6000, 60
    rates = np.array([0.003, 0.02, 0.1])
    exact = regression.one_pass(problem, rates, np.array([float(samples)]))[:, 0]
    risks = regression.simulate(np.random.default_rng(0), problem, rates, samples, [1], replicas)[..., 0]
    np.testing.assert_array_less(np.abs(risks.mean(0) - exact), 4 * risks.std(0) / np.sqrt(replicas))
    assert (risks.std(0) / np.sqrt(replicas) < 0.03 * exact).all()


def test_one_pass_step_by_step():
    """The moments' recursion, one step after the other."""
    problem, rate = Problem.power_law(4, 1.0, noise=2.0), 0.07
    spectrum, moments, risks = problem.spectrum, np.ones(4), []
    for _ in range(50):
        signal = 2 * spectrum**2 * moments + spectrum * (spectrum @ moments)
        moments = moments - 2 * rate * spectrum * moments + rate**2 * (signal + 2.0 * spectrum)
        risks.append(spectrum @ moments)
    found = regression.one_pass(problem, np.array([rate, 5.0]), np.arange(1.0, 51))
    np.testing.assert_allclose(found[0], risks, rtol=1e-10)
    assert np.isinf(found[1]).all()  # beyond the largest stable rate


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_epochs_in_a_fixed_order_are_exact(noise):
    """Against the loop itself: the risk is quadratic in teacher and noise, so unit vectors give its expectation."""
    problem, samples = Problem.power_law(3, 1.0, noise), 7
    rates, x = np.array([0.05, 0.3]), problem.inputs(np.random.default_rng(1), 2, samples)
    found = regression.epochs(problem, regression.epoch(problem, rates, x), COUNTS)
    for which, inputs in enumerate(x):
        for place, rate in enumerate(rates):
            for number, count in enumerate(COUNTS):
                order = list(range(samples)) * count
                risk = 0.0
                for teacher in np.eye(3):
                    v = plain(inputs, inputs @ teacher, rate, order)
                    risk += problem.spectrum @ (v - teacher) ** 2
                for label in np.eye(samples):
                    risk += noise * problem.spectrum @ plain(inputs, label, rate, order) ** 2
                assert found[which, place, number] == pytest.approx(risk, rel=1e-10)


def test_epochs_equal_simulation():
    problem, samples, rates = Problem.power_law(6, 0.0), 40, np.array([0.005, 0.03])
    generator = np.random.default_rng(2)
    exact = regression.epochs(
        problem, regression.epoch(problem, rates, problem.inputs(generator, 600, samples)), COUNTS
    )
    runs = regression.simulate(generator, problem, rates, samples, COUNTS, 2500, reshuffled=False)
    error = np.sqrt(exact.var(0) / len(exact) + runs.var(0) / len(runs))
    np.testing.assert_array_less(np.abs(runs.mean(0) - exact.mean(0)), 4 * error)
    assert (error < 0.03 * exact.mean(0)).all()
    # One epoch over a sample is a pass over fresh data.
    fresh = regression.one_pass(problem, rates, np.array([float(samples)]))[:, 0]
    np.testing.assert_array_less(np.abs(exact[..., 0].mean(0) - fresh), 4 * error[:, 0])


def test_many_epochs_come_to_least_squares():
    problem, generator = Problem.power_law(4, 0.5), np.random.default_rng(3)
    one = regression.epoch(problem, np.array([1e-4]), problem.inputs(generator, 800, 30))
    last = regression.epochs(problem, one, (2**20,))[:, 0, 0]
    assert last.mean() == pytest.approx(problem.least_squares(30), abs=4 * last.std() / np.sqrt(800))
    assert problem.least_squares(5) == np.inf


def test_reshuffled_runs_take_every_example_once_an_epoch():
    problem = Problem.power_law(4, 0.0, noise=0.0)
    small = regression.simulate(np.random.default_rng(4), problem, np.array([1e-6]), 9, [1, 2], 3)
    same = regression.simulate(np.random.default_rng(4), problem, np.array([1e-6]), 9, [1, 2], 3, reshuffled=False)
    # At so small a rate the order counts for nothing, and how often an example comes for all.
    np.testing.assert_allclose(small, same, rtol=1e-7)
    assert (small[..., 1] < small[..., 0]).all()


def test_the_problem_is_that_of_the_task():
    task, key = LinearRegression(5, 1.5, 1.0), torch.tensor([[3, 0]])
    np.testing.assert_allclose(task.eigenvalues(key)[0], Problem.power_law(5, 1.5).spectrum, rtol=1e-6)


def test_the_recursion_is_what_a_fit_does():
    """Risks of the library's own linear regression, SGD with one example a step, at half the recursion's rate."""
    from functools import partial

    from svl.models import MLP
    from svl.optim import SGD
    from svl.replicas import Replicas
    from svl.training import ExecutionSettings, ParameterGroup, ReplicaStack, TrainingSettings

    seeds, steps, rate = 256, 24, 0.08
    task = LinearRegression(4, 1.0, 1.0)
    data = Online(task, 1, 8)
    data.schedule(steps, steps)
    network = partial(MLP, depth=1)
    groups = {"offset": ParameterGroup("*.bias", frozen=True)}
    stack = ReplicaStack(
        data,
        TrainingSettings(network, "squared", SGD(rate / 2), Replicas(seeds), groups),
        ExecutionSettings(compile="never"),
    )
    names = stack.parameters_by_name()
    for parameter in names.values():
        parameter.data.zero_()
    (weight,) = (name for name in names if name.endswith("weight"))
    stack.train_steps(0, steps)
    found = task.risk(stack.key, stack.parameters_by_name()[weight][:, 0]).double().numpy()
    exact = regression.one_pass(Problem.power_law(4, 1.0), np.array([rate]), np.array([float(steps)]))[0, 0]
    assert found.mean() == pytest.approx(exact, abs=4 * found.std() / np.sqrt(seeds))


def test_the_tuned_risk_is_the_parabola_s_bottom():
    x = np.arange(9.0)
    risks = np.exp(0.3 * (x - 4.3) ** 2 + 0.7)[:, None]
    np.testing.assert_allclose(regression.tuned(risks), np.exp(0.7), rtol=1e-12)
    risks[6:] = np.inf
    np.testing.assert_allclose(regression.tuned(risks), np.exp(0.7), rtol=1e-12)
    falling = np.exp(-x)[:, None]
    np.testing.assert_allclose(regression.tuned(falling), np.exp(-8.0))
