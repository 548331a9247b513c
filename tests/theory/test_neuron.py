"""The recursion equals training: steps of autograd on examples, projected by hand."""

import itertools

import numpy as np
import pytest
import torch

from svl.theory import moment, neuron
from svl.theory.neuron import POPULATION


def trained(x, y, w, a, rate, steps):
    """Equation 1 by autograd."""
    x, y, w, a = (torch.tensor(part, dtype=torch.float64) for part in (x, y, w, a))
    states = [(a.item(), w.numpy().copy())]
    for _ in range(steps):
        w.requires_grad_(), a.requires_grad_()
        loss = -(y * (a * (x @ w).square() / 2 - 1)).mean()
        to_w, to_a = torch.autograd.grad(loss, (w, a))
        with torch.no_grad():
            w, a = w - rate * to_w, (a - rate * to_a).clamp(-1, 1)
            w = w / w.norm()
        states.append((a.item(), w.numpy().copy()))
    return [np.array(part) for part in zip(*states, strict=True)]


def drawn(dim, samples, seed, population=False):
    generator = np.random.default_rng(seed)
    x = generator.choice([-1.0, 1.0], (samples, dim))
    if population:
        x = np.array(list(itertools.product([-1.0, 1.0], repeat=dim)))
    w = generator.standard_normal(dim)
    return x, x[:, 0] * x[:, 1], w / np.linalg.norm(w), generator.normal() / 8


@pytest.mark.parametrize(("rate", "steps"), [(0.05, 300), (0.5, 100)])
@pytest.mark.parametrize("population", [False, True])
def test_the_trajectory_is_that_of_gradient_steps(rate, steps, population):
    runs = [drawn(6, 24, seed, population) for seed in range(6)]
    moments = np.array([(x * y[:, None]).T @ x / len(x) for x, y, _, _ in runs])
    w, a = np.array([run[2] for run in runs]), np.array([run[3] for run in runs])
    found = neuron.trajectory(a, w, moments, rate, steps)
    for replica, (x, y, w_0, a_0) in enumerate(runs):
        outer, directions = trained(x, y, w_0, a_0, rate, steps)
        # A direction that grows from rounding, after a changed its sign, is nobody's.
        np.testing.assert_allclose(found.a[:, replica], outer, atol=1e-9)
        np.testing.assert_allclose(found.w[:, replica], directions, atol=1e-9)
    assert (np.abs(found.a) == 1).any()
    np.testing.assert_allclose(found.q, np.einsum("tri,rij,trj->tr", found.w, moments, found.w), atol=1e-12)


def starts(dims, replicas=5, samples=20):
    generator = np.random.default_rng(3)
    parts, outer = [], []
    for dim in dims:
        w = generator.standard_normal((replicas, dim))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        parts.append(neuron.diagonal(moment.empirical(generator, dim, samples, replicas), w))
        outer.append(generator.normal(size=replicas) / 10)
    return parts, outer


def test_replicas_of_different_dimensions_share_a_stack():
    parts, outer = starts([4, 9, 16])
    together = neuron.joined(parts)
    rate = np.repeat([0.01, 0.05, 0.3], 5)
    target = np.repeat([0.3, 0.5, 0.7], 5)
    found = neuron.descend(np.concatenate(outer), together.w, together.eigenvalues, rate, neuron.reached(target))
    assert found.ended.all()
    for i, (part, a) in enumerate(zip(parts, outer, strict=True)):
        rows = slice(5 * i, 5 * i + 5)
        alone = neuron.descend(a, part.w, part.eigenvalues, float(rate[5 * i]), neuron.reached(target[rows]))
        np.testing.assert_array_equal(found.steps[rows], alone.steps)
        np.testing.assert_allclose(found.a[rows], alone.a, rtol=1e-12)
        np.testing.assert_allclose(found.w[rows, : part.w.shape[1]], alone.w, atol=1e-12)
        np.testing.assert_array_equal(found.sign_kept[rows], alone.sign_kept)
        np.testing.assert_allclose(found.growth[rows], alone.growth, rtol=1e-9)
        assert (found.w[rows, part.w.shape[1] :] == 0).all()


def test_a_phase_is_what_its_path_says():
    (part,), (a,) = starts([8], replicas=30)
    target, rate, limit = np.full(30, 0.6), 0.02, 150
    states = [state for _, state in zip(range(limit + 1), neuron.path(a, part.w, part.eigenvalues, rate), strict=False)]
    found = neuron.descend(a, part.w, part.eigenvalues, rate, neuron.reached(target), limit)
    q = np.array([state.q for state in states])
    outer = np.array([state.a for state in states])
    for replica in range(30):
        passing = np.flatnonzero(np.abs(outer[:, replica]) >= 0.6)
        end = passing[0] if len(passing) else limit
        assert (found.steps[replica], found.ended[replica]) == (end, len(passing) > 0)
        assert found.a[replica] == outer[end, replica]
        np.testing.assert_array_equal(found.w[replica], states[end].w[replica])
        before = range(end if len(passing) else end + 1)
        signs = {(np.sign(outer[t, replica]), np.sign(q[t, replica])) for t in before}
        assert found.sign_kept[replica] == (len(signs) == 1 and len(set(next(iter(signs)))) == 1)
        growth = [abs(q[t + 1, replica] / q[t, replica]) for t in before[:-1]]
        assert found.growth[replica] == pytest.approx(min([1, *growth]), rel=1e-12)
    assert 0 < found.ended.sum() < 30
    assert 0 < found.sign_kept.sum() < 30


def test_the_population_needs_three_numbers_of_a_direction():
    _, (a,) = starts([8], replicas=20)
    generator = np.random.default_rng(3)
    w = generator.standard_normal((20, 8))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    basis = neuron.diagonal(moment.empirical(generator, 8, 20, 20), w)
    three = neuron.seen_by_population(basis, basis.w)
    full = neuron.trajectory(a, w, np.broadcast_to(moment.population(8), (20, 8, 8)), 0.1, 200)
    states = [state for _, state in zip(range(201), neuron.path(a, three, POPULATION, 0.1), strict=False)]
    np.testing.assert_allclose([state.a for state in states], full.a, atol=1e-9)
    squares = np.square([state.w[:, 0] for state in states])
    np.testing.assert_allclose(squares, (full.w[..., 0] + full.w[..., 1]) ** 2 / 2, atol=1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_steps_with_a_held_are_those_of_the_path(rate):
    generator = np.random.default_rng(5)
    w = generator.standard_normal((40, 3))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    a = generator.uniform(0.05, 0.9, 40) * generator.choice([-1, 1], 40)
    wanted = np.where(a > 0, 0, 1)
    expected = np.full(40, -1)
    for step, state in zip(range(2000), neuron.path(a, w, POPULATION, rate, held=True), strict=False):
        aligned = np.square(state.w[np.arange(40), wanted]) >= 1 - 0.01
        expected = np.where((expected < 0) & aligned, step, expected)
    assert (expected >= 0).all()
    np.testing.assert_array_equal(neuron.held_steps(a, w, rate, 0.01), expected)
