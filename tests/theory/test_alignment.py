"""Lemmas 8 and 11 and corollaries 4 and 6, compared with optimisers, grids and the semicircle law."""

import itertools

import numpy as np
import pytest
from scipy import optimize

from svl.theory import alignment, bounds, moment, neuron, two_phase


@pytest.fixture(scope="module")
def along():
    w, _ = two_phase.directions(np.random.default_rng(0), 20, 40, starts_well=True)
    return w[:, :2] @ moment.SUPPORT


def test_lemma_8_holds_for_every_replica_and_says_nothing_at_a_large_target():
    generator, dim, samples = np.random.default_rng(1), 12, 40
    start = two_phase.start(generator, dim, samples, 40)
    a = start.sign * 1e-9
    norm = start.basis.norm.max()
    small = float(bounds.threshold(dim, samples, 0.01, float(norm)))
    paths = [(target, start, two_phase.grow(start.basis, a, target, 0.01)) for target in (small, 0.5)]
    near, far = alignment.kept(paths)
    # In the event |<w_0, u>| is at least sqrt(3/4) / sqrt(d) (lemma 11), and its drift is at most
    # 1 / (4 sqrt(d)) at this target.
    assert (alignment.initial(start, start.sign) >= np.sqrt(0.75 / dim)).all()
    assert (near.bound >= 1 / (2 * np.sqrt(dim))).all()
    assert (near.ratio <= 1).all() and np.median(near.ratio) > 0.5
    assert (near.drift <= 0.25).all() and near.sign.all()
    assert (far.bound == 0).all() and (far.drift > 0.25).all()


def test_the_alignment_is_that_of_gradient_steps():
    """The same w, followed by steps on the moment matrix in the coordinates of the inputs."""
    generator, dim, samples, rate, target = np.random.default_rng(2), 8, 30, 0.02, 0.2
    w, _ = two_phase.directions(generator, dim, 30, starts_well=True)
    matrices = moment.empirical(generator, dim, samples, 30)
    q = np.einsum("ri,rij,rj->r", w, matrices, w)
    good = np.flatnonzero(q * w[:, 0] * w[:, 1] > 0)
    start = two_phase.Start(neuron.diagonal(matrices[good], w[good]), np.sign(q[good]), dim, samples, "true", 1.0)
    grown = two_phase.grow(start.basis, start.sign * 1e-3, target, rate)
    row = alignment.kept([(target, start, grown)])[0]
    assert grown.stable.all()
    for place, replica in enumerate(good):
        a, v = 1e-3 * np.sign(q[replica]), w[replica]
        while abs(a) < target:
            a, v = a + rate / 2 * v @ matrices[replica] @ v, v + rate * a * matrices[replica] @ v
            v = v / np.linalg.norm(v)
        u = np.array([1, np.sign(a)]) / np.sqrt(2)
        limit = bounds.drift(target, 1e-3, samples, rate, np.linalg.norm(matrices[replica], 2))
        bound = max(abs(w[replica, :2] @ u) - limit, 0)
        assert row.ratio[place] == pytest.approx(bound / abs(v[:2] @ u), abs=1e-9)
        assert row.drift[place] == pytest.approx(np.sqrt(dim) * np.linalg.norm(v - w[replica]), abs=1e-9)
        assert row.sign[place] == (v[0] * v[1] * w[replica, 0] * w[replica, 1] > 0)


def test_the_worst_drift_is_what_an_optimiser_finds(along):
    """Lemma 11's margins over unit vectors, by SLSQP in three coordinates, from several starts."""
    dim, limit = 20, 1 / (4 * np.sqrt(20))
    change, ratio = alignment.worst(along, dim)
    assert change.holds and ratio.holds
    for replica in range(4):
        before = along[replica]
        sign = np.sign(before[0] ** 2 - before[1] ** 2)
        three = np.append(before, np.sqrt(1 - (before**2).sum()))
        on_sphere = {"type": "eq", "fun": lambda v: v @ v - 1}
        near = {"type": "ineq", "fun": lambda v, three=three: limit**2 - ((v - three) ** 2).sum()}

        def best(goal, three=three, constraints=(on_sphere, near)):
            turns = np.array(list(itertools.product([-1, 1], repeat=2))) * limit / 2
            begins = [three + np.append(turn, 0) for turn in turns]
            return min(optimize.minimize(goal, v, method="SLSQP", constraints=constraints).fun for v in begins)

        least_q = best(lambda v, sign=sign: sign * (v[0] ** 2 - v[1] ** 2))
        lost = sign * (before[0] ** 2 - before[1] ** 2) - least_q
        assert change.ratios[replica] * 9 / (16 * dim) == pytest.approx(lost, rel=0.07)
        axis = 0 if sign > 0 else 1
        side = np.sign(before[axis])
        smallest = best(lambda v, axis=axis, side=side: side * v[axis])
        assert 1 / (2 * np.sqrt(dim)) / ratio.ratios[replica] == pytest.approx(smallest, rel=0.03)


def test_the_smallest_drift_that_changes_a_sign():
    """Over a grid of P_0 the distance to the lines q_pop = 0 is least at r^2 = 1 / d, q_pop = 3 / (4 d)."""
    square, cosine = np.meshgrid(np.linspace(0.75, 1, 400), np.linspace(0.75, 1, 400))
    inside = square * cosine >= 0.75
    turn = np.arccos(cosine) / 2
    distance = np.sqrt(square) * np.sin(np.pi / 4 - turn)
    assert distance[inside].min() == pytest.approx(alignment.SURE, rel=0.01)
    dim = 400
    edge = np.array([[np.sqrt(7 / 8), np.sqrt(1 / 8)]]) / np.sqrt(dim)
    assert alignment.sign_is_safe(edge, dim, alignment.SURE - 0.01).all()
    assert not alignment.sign_is_safe(edge, dim, alignment.SURE + 0.01).any()


def test_lemma_11_s_condition_is_safe(along):
    assert alignment.sign_is_safe(along, 20, 0.25).all()
    assert not alignment.sign_is_safe(along, 20, 0.9).any()


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_corollary_4_keeps_every_step_of_phase_1_stable(rate):
    """At the largest a* that it allows, eta |a_t| |M^| is at most 1/2 before every step, up to the chance delta."""
    generator, dim, samples, delta = np.random.default_rng(3), 8, 24, 0.05
    target = min(1.0, 1 / (2 * rate * float(bounds.spectral_norm(dim, samples, delta))))
    w, _ = two_phase.directions(generator, dim, 200, starts_well=False)
    basis = neuron.diagonal(moment.empirical(generator, dim, samples, 200), w)
    a = generator.standard_normal(200) / dim
    largest, running = np.zeros(200), np.ones(200, bool)
    for _, state in zip(range(400), neuron.path(a, basis.w, basis.eigenvalues, rate), strict=False):
        running &= np.abs(state.a) < target
        largest = np.where(running, np.maximum(largest, rate * np.abs(state.a) * basis.norm), largest)
    assert (largest <= 0.5).mean() >= 1 - delta
    assert largest.max() > 0.05


def test_the_bound_with_random_labels_exceeds_the_semicircle_s_edge():
    """For large N the norm of M^ is 2 sqrt(d / N), and corollary 6's bound is sqrt(2 log(2 d / delta)) sqrt(d / N)."""
    dim, samples = 64, 64**2
    norms = np.abs(np.linalg.eigvalsh(moment.empirical(np.random.default_rng(4), dim, samples, 20, "random"))).max(1)
    assert np.median(norms) == pytest.approx(2 * np.sqrt(dim / samples), rel=0.06)
    large = 10**9
    bound = bounds.spectral_norm(dim, large, 0.05, "random") * np.sqrt(large / dim)
    assert bound == pytest.approx(np.sqrt(2 * np.log(2 * dim / 0.05)), rel=1e-3)
