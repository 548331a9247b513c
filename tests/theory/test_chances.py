"""Probabilities at initialisation: closed forms in small dimensions, and simulations that share no code with them."""

import numpy as np
import pytest
from scipy import stats

from svl.theory import chances, events


def test_the_proved_chance_of_the_good_event_is_the_paper_s():
    """Lemma 1's example, (2 - sqrt 2) / (8 3^8), and lemma 2's half of it."""
    assert chances.good_event() == pytest.approx((2 - np.sqrt(2)) / (8 * 3**8) / 2, rel=1e-12)


def test_lemma_10_is_proved_for_a_much_smaller_signal_than_lemma_1():
    assert chances.one_sided() == pytest.approx(1 / (4 * np.sqrt(2) * 81), rel=1e-12)
    assert np.sqrt(3 / 8) / chances.PROVED_SIGNAL == pytest.approx(324, rel=1e-12)


@pytest.mark.parametrize("share", [1e-6, 1e-4, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_the_one_sided_inequality_of_lemma_10_holds_for_two_values(share):
    """X = (1 - p) / s with probability p, otherwise -p / s: the most skewed variables with a given kurtosis."""
    kurtosis = (1 - 3 * share * (1 - share)) / (share * (1 - share))
    theta = chances.one_sided(kurtosis)
    assert (1 - share) / np.sqrt(share * (1 - share)) >= theta
    assert share >= theta**2


def test_lemma_9_in_small_dimensions():
    """A uniform angle at d = 2; a uniform height at d = 3 (Archimedes); a normal coordinate at large d."""
    assert chances.exactly_aligned(2) == pytest.approx(1 - 2 / np.pi * np.arcsin(1 / np.sqrt(8)), rel=1e-9)
    assert chances.exactly_aligned(3) == pytest.approx(1 - 1 / (2 * np.sqrt(3)), rel=1e-9)
    assert chances.exactly_aligned(10**6) == pytest.approx(2 * stats.norm.sf(0.5), rel=1e-5)
    for dim in (2, 3, 5, 10, 100, 1000):
        # The proof's constant is smallest at d = 2, and half of the true one.
        assert chances.aligned(2) <= chances.aligned(dim) <= chances.exactly_aligned(dim) / 1.9
    assert chances.aligned(2) == pytest.approx(2 * stats.norm.sf(1) - np.exp(-4), rel=1e-9)


def test_good_directions_in_four_dimensions():
    """At d = 4 r^2 is uniform on (0, 1); the integral of arccos(c / t) by t and its logarithm."""
    c = 0.75

    def primitive(t):
        return t * np.arccos(c / t) - c * np.log(t + np.sqrt(t**2 - c**2))

    exact = (primitive(1.0) - primitive(c)) / 4 * 2 / np.pi
    assert chances.exactly_starts_well(4) == pytest.approx(exact, rel=1e-6)
    assert chances.starts_well(4) == pytest.approx(0.1 / 4 * 2 / np.pi * np.arccos(5 / 6), rel=1e-9)
    for dim in (3, 8, 64, 1000):
        assert 0.3 < chances.starts_well(dim) / chances.exactly_starts_well(dim) < 1


def test_the_events_that_need_no_data_have_their_exact_probabilities():
    for event in events.of_directions(np.random.default_rng(0), 12, 4000):
        assert event.proved < event.exact
        assert event.share.value == pytest.approx(event.exact, abs=4 * np.sqrt(event.exact / 40000))


def test_random_labels_give_a_normal_signal_without_mean():
    """Corollary 5 and lemma 12 by plain draws: w, a, x and the labels are all sampled."""
    generator, dim, samples, draws = np.random.default_rng(1), 10, 60, 30000
    signal = 1 / np.sqrt(2)
    w = generator.standard_normal((draws, dim))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    q = np.empty(draws)
    for replica in range(draws):
        x, label = generator.choice([-1.0, 1.0], (samples, dim)), generator.choice([-1.0, 1.0], samples)
        q[replica] = (label * (x @ w[replica]) ** 2).mean()
    large = np.abs(q) >= signal / np.sqrt(samples)
    assert large.mean() == pytest.approx(chances.large_signal(dim, signal), abs=0.015)
    assert large.mean() > chances.paley_zygmund(signal)
    of_population, a = 2 * w[:, 0] * w[:, 1], generator.standard_normal(draws)
    well = (np.sign(a) * of_population >= 0.75 / dim) & (w[:, 0] ** 2 + w[:, 1] ** 2 <= 1 / dim)
    event = large & (np.sign(a) == np.sign(q)) & well
    _, measured = events.of_data(generator, dim, samples, 20000, "random")
    assert event.mean() == pytest.approx(measured.exact, abs=4 * np.sqrt(measured.exact / draws))
    assert measured.share.value == pytest.approx(measured.exact, abs=8 * np.sqrt(measured.exact / 20000))
    assert 0 < measured.proved < measured.share.low


def test_true_labels_have_the_proved_event_more_often_than_proved():
    _, strong, weak = events.of_data(np.random.default_rng(2), 8, 40, 20000, "true")
    assert strong.proved is None
    assert 0 < weak.proved < strong.share.low <= weak.share.value
