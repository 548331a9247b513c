"""Which term of a* binds: crossovers by root finding, times by closed forms, empty phases by sampling."""

import numpy as np
import pytest
from scipy import optimize

from svl.theory import bounds, chances, regimes
from svl.theory.times import EPSILON

NORM = {"true": np.sqrt(3 / 8), "random": 1 / np.sqrt(2)}


def test_two_terms_never_bind():
    dim, power, rate = np.meshgrid([3, 16, 128, 8192], np.linspace(1, 2, 9), [0.001, 0.05, 0.5])
    for labels in ("true", "random"):
        norm = bounds.spectral_norm(dim, dim, 0.05, labels)
        term = regimes.binding(dim, dim**power, rate, norm, labels)
        assert set(np.unique(term)) == {2, 3}


@pytest.mark.parametrize("labels", ["true", "random"])
@pytest.mark.parametrize(("dim", "rate", "norm"), [(16, 0.1, 9.0), (128, 0.2, 16.5), (1000, 0.5, 3.0)])
def test_the_crossover_is_where_the_two_terms_are_equal(labels, dim, rate, norm):
    def gap(log_n):
        terms = bounds.threshold_terms(dim, np.exp(log_n), rate, norm, labels)
        return float(np.log(terms[2] / terms[3]))

    crossover = np.exp(optimize.brentq(gap, -30, 60))
    assert regimes.largest_flat(dim, rate, norm, NORM[labels]) == pytest.approx(crossover, rel=1e-9)
    assert regimes.crossing_rate(dim, crossover, norm, NORM[labels]) == pytest.approx(rate, rel=1e-9)
    below, above = (regimes.binding(dim, factor * crossover, rate, norm, labels) for factor in (0.99, 1.01))
    assert (below, above) == (2, 3)
    flat = bounds.threshold(dim, crossover * np.array([0.01, 0.1, 1.0]), rate, norm, labels)
    np.testing.assert_allclose(flat, 1 / (32 * rate * norm * np.sqrt(dim)))


def test_where_the_documentation_says_that_a_star_is_flat():
    def whole(dim):
        return regimes.largest_flat(dim, 0.5, bounds.spectral_norm(dim, dim, 0.05)) - dim**2

    assert optimize.brentq(whole, 100, 1e5) == pytest.approx(2716, abs=1)
    for dim in (3, 128, 10**9):
        assert regimes.crossing_rate(dim, dim, bounds.spectral_norm(dim, dim, 0.05)) > 0.05
        norm = bounds.spectral_norm(dim, dim, 0.05)
        assert regimes.largest_flat(dim, 0.5, norm, chances.PROVED_SIGNAL) < dim


def test_both_phases_take_the_times_of_their_regime():
    """T_1 = 2 a* / (eta |q_0|), as w hardly moves; T_2 with a held from lemma 6's contraction, exact to first order."""
    scale = regimes.Scale(32, 3, 24, (32,))
    rows = regimes.measure(scale, lambda items, _: items, seed=5)
    assert [row.samples for row in rows] == 2 * [32, 181, 1024]
    small, large = rows[:3], rows[3:]
    for root, flat in zip(small, large, strict=True):
        assert root.target == pytest.approx(
            np.sqrt(np.sqrt(3 / 8) / (64 * bounds.spectral_norm(32, 32, 0.05) * np.sqrt(32 * root.samples)))
        )
        assert flat.target == large[0].target < root.target
        # The same neurons and data: both times are proportional to a*, up to whole steps.
        np.testing.assert_allclose(flat.first / root.first, flat.target / root.target, rtol=0.15)
        for row in (root, flat):
            gap = (1 - row.resolved.alignment**2) / row.resolved.alignment**2
            expected = np.log(gap * (1 - EPSILON) / EPSILON) / (2 * np.abs(row.resolved.a))
            np.testing.assert_allclose(row.second, expected, rtol=0.05)
        assert (flat.actual.steps == 1).all()


def test_half_of_the_phases_are_empty_at_the_width_that_is_said():
    generator, target = np.random.default_rng(0), 0.003
    width = float(regimes.empty_below(target))
    a = generator.standard_normal(20000) / np.sqrt(width)
    assert (np.abs(a) >= target).mean() == pytest.approx(0.5, abs=0.015)
    assert width == pytest.approx(0.4549 / target**2, rel=1e-3)


def test_the_map_names_the_last_flat_size():
    _, rows = regimes.regions(regimes.SCALES["smoke"])
    by_place = {(row["dim"], row["rate"]): row["true, B at N = d"] for row in rows}
    assert by_place[128, 0.05] is None and by_place[128, 0.5] == 128**2
    exact = regimes.largest_flat(128, 0.2, bounds.spectral_norm(128, 128, 0.05))
    assert exact / 1.02 < by_place[128, 0.2] <= exact
