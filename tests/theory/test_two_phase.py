import numpy as np
import pytest
from scipy import stats

from svl.theory import bounds, moment, times, two_phase, two_phase_analysis


@pytest.mark.parametrize("labels", ["true", "random"])
def test_starts_have_the_luck_of_the_event(labels):
    dim, samples = 8, 24
    start = two_phase.start(np.random.default_rng(0), dim, samples, 200, labels)
    q = (start.basis.eigenvalues * np.square(start.basis.w)).sum(1)
    along = np.einsum("rsd,rd->rs", start.basis.support, start.basis.w)
    of_population = along[:, 0] ** 2 - along[:, 1] ** 2
    np.testing.assert_array_equal(np.sign(q), start.sign)
    np.testing.assert_array_equal(np.sign(of_population), start.sign)
    assert (np.abs(q) >= bounds.SIGNAL[labels] / np.sqrt(samples)).all()
    assert (np.abs(of_population) >= 0.75 / dim).all() and (np.square(along).sum(1) <= 1 / dim).all()
    np.testing.assert_allclose(np.linalg.norm(start.basis.w, axis=1), 1)


def test_the_chance_of_the_event_is_its_share_among_all_starts():
    dim, samples, draws = 8, 24, 40000
    generator = np.random.default_rng(1)
    chance = two_phase.start(generator, dim, samples, 600).chance
    w, _ = two_phase.directions(generator, dim, draws, starts_well=False)
    q = np.einsum("ri,rij,rj->r", w, moment.empirical(generator, dim, samples, draws), w)
    a = generator.standard_normal(draws)
    of_population = 2 * w[:, 0] * w[:, 1]
    event = (np.sign(a) == np.sign(q)) & (np.sign(q) == np.sign(of_population))
    event &= (np.abs(q) >= np.sqrt(3 / 8 / samples)) & (np.abs(of_population) >= 0.75 / dim)
    event &= w[:, 0] ** 2 + w[:, 1] ** 2 <= 1 / dim
    assert chance == pytest.approx(event.mean(), rel=0.2)


def test_a_seed_repeats_an_experiment_on_new_samples():
    scale = times.Scale((8,), 2, 8, 2, 2)
    first, same, new = (times.measure(scale, "true", lambda items, _: items, seed) for seed in (0, 0, 7))
    np.testing.assert_array_equal(first[0].free[0], same[0].free[0])
    assert not np.array_equal(first[0].start.basis.w, new[0].start.basis.w)
    np.testing.assert_array_equal(
        first[0].start.basis.eigenvalues,
        two_phase.start(np.random.default_rng(1), 8, 8, 8, "true").basis.eigenvalues,
    )


def test_savings_compare_the_population_with_both_phases():
    scale = times.Scale((8,), 2, 8, 2, 2)
    points = times.measure(scale, "true", lambda items, _: items)
    alone = times.population_alone(scale)
    found = two_phase_analysis.savings(points, alone)
    for name, place in (("theorem", 0), ("largest", -1)):
        assert [row["samples"] for row in found[name]] == [8, 64]
        for row, point in zip(found[name], points, strict=True):
            both = (point.grown[place].steps + point.free[place]).astype(float)
            assert row["value"] == pytest.approx(stats.gmean(alone.free[-1]) / stats.gmean(both))
