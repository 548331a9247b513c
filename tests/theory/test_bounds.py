import numpy as np
import pytest
from scipy import integrate

from svl.theory import bounds, moment, neuron, two_phase


@pytest.mark.parametrize("labels", ["true", "random"])
@pytest.mark.parametrize(("dim", "samples"), [(8, 8), (16, 256), (32, 64)])
def test_the_bernstein_bound_holds(labels, dim, samples):
    norms = np.abs(np.linalg.eigvalsh(moment.empirical(np.random.default_rng(0), dim, samples, 400, labels))).max(1)
    assert (norms > bounds.spectral_norm(dim, samples, 0.05, labels)).mean() <= 0.05


@pytest.mark.parametrize("dim", [4, 16, 100])
def test_the_share_of_good_directions(dim):
    """P_0 by its density: d r^2 of Beta(1, (d - 2) / 2), the angle uniform."""
    _, share = two_phase.directions(np.random.default_rng(1), dim, 4000, starts_well=True)

    def density(t):
        return (dim - 2) / 2 / dim * (1 - t / dim) ** (dim / 2 - 2) * (1 - 2 / np.pi * np.arcsin(0.75 / t))

    exact, _ = integrate.quad(density, 0.75, 1)
    assert share == pytest.approx(exact, rel=4 / np.sqrt(4000))


def test_the_threshold_gives_what_the_proof_needs():
    dim, samples, norm = np.meshgrid([8, 32, 128], [1.0, 4.0, 16.0], [1.0, 5.0])
    samples = samples * dim
    for rate in (0.02, 0.5):
        target = bounds.threshold(dim, samples, rate, norm)
        assert (rate * target * norm <= 0.5).all()
        assert (bounds.drift(target, 0.0, samples, rate, norm) <= 1 / (4 * np.sqrt(dim)) * (1 + 1e-12)).all()
        # It is the largest that the proof's three inequalities allow.
        larger = 1.01 * target
        drift = 64 * larger**2 * norm * np.sqrt(samples) / bounds.SIGNAL["true"]
        steps = 32 * rate * norm * larger
        assert (np.maximum(np.sqrt(dim) * np.maximum(drift, steps), 2 * rate * larger * norm) > 1).all()


@pytest.mark.parametrize("labels", ["true", "random"])
def test_bounds_hold_for_every_replica_of_the_event(labels):
    """Theorem 3, lemmas 6, 7 and 11 and the total, in small dimensions at rates up to the largest that is allowed."""
    generator, epsilon, tight = np.random.default_rng(2), 0.01, 0.0
    for dim, samples in ((8, 8), (8, 64), (16, 60)):
        start = two_phase.start(generator, dim, samples, 24, labels)
        for rate in (0.01, 0.5):
            a = two_phase.outer_weights(generator, start, dim**3)
            norm = float(start.basis.norm.max())
            target = float(bounds.threshold(dim, samples, rate, norm, labels))
            grown = two_phase.grow(start.basis, a, target, rate)
            assert grown.stable.all() and grown.sign_kept.all() and (grown.growth >= 1 - 1e-9).all()
            bound = bounds.phase_1(target, grown.initial, samples, rate, labels)
            assert (grown.steps <= bound).all()
            tight = max(tight, float((grown.steps / np.maximum(bound, 1)).max()))
            assert (grown.drift <= bounds.drift(target, a, samples, rate, norm, labels)).all()
            assert (grown.alignment >= 1 / (2 * np.sqrt(dim))).all()  # lemma 11
            contraction = bounds.phase_2(grown.a, grown.alignment, epsilon, rate)
            assert (grown.free(epsilon) <= grown.held(epsilon)).all()
            assert (grown.held(epsilon) <= contraction).all()
    assert tight > 0.7


def test_phase_1_takes_as_long_as_training_says():
    """T_1 by the recursion and by gradient steps on other draws of the data: two samples of one distribution."""
    from scipy import stats

    dim, samples, rate, target, replicas = 6, 20, 0.05, 0.25, 300
    generator = np.random.default_rng(3)
    w, _ = two_phase.directions(generator, dim, replicas, starts_well=False)
    basis = neuron.diagonal(moment.empirical(generator, dim, samples, replicas), w)
    a = generator.normal(size=replicas) / 30
    recursion = two_phase.grow(basis, a, target, rate).steps
    simulated = []
    for _ in range(replicas):
        x = generator.choice([-1, 1], (samples, dim))
        y, w, a = x[:, 0] * x[:, 1], generator.standard_normal(dim), generator.normal() / 30
        w, step = w / np.linalg.norm(w), 0
        while abs(a) < target:
            z = x @ w
            a, w, step = a + rate * (y * z**2).mean() / 2, w + rate * a * (y * z) @ x / samples, step + 1
            w /= np.linalg.norm(w)
        simulated.append(step)
    assert stats.ks_2samp(recursion, simulated).pvalue > 0.01
    assert np.median(recursion) > 20
