import numpy as np
import pytest

from svl.theory import no_gap
from svl.theory.regression import Problem


def track(items, what):
    return items


def test_when_a_curve_is_first_below():
    steps, risk = np.array([1.0, 2, 4, 8]), np.array([[8.0, 4, 2, 1], [8.0, 1, 3, 0.5]])
    found = no_gap.first_below(steps, risk, np.array([4.0, 2.0, 0.4]))
    np.testing.assert_allclose(found[0], [2, 4, np.inf])
    assert 1 < found[1, 0] < found[1, 1] < 2 and np.isinf(found[1, 2])


def test_full_batches_against_a_plain_loop():
    """The risk of gradient descent, expected over teacher and noise by unit vectors."""
    problem, generator = Problem.power_law(3, 1.0, 1.0), np.random.default_rng(0)
    x = problem.inputs(generator, 12)
    values, vectors = np.linalg.eigh(x.T @ x / 12)
    rate, steps = 0.4, np.array([1.0, 5.0])
    left = no_gap._shrunk(np.array([rate]), steps, values)[0]
    weight = problem.spectrum @ vectors**2
    found = (weight * (left**2 + (1 - left) ** 2 / values / 12)).sum(1)
    for place, count in enumerate((1, 5)):
        risk = 0.0
        for teacher, labels in [(w, x @ w) for w in np.eye(3)] + [(np.zeros(3), e) for e in np.eye(12)]:
            v = np.zeros(3)
            for _ in range(count):
                v = v + rate * x.T @ (labels - x @ v) / 12
            risk += problem.spectrum @ (v - teacher) ** 2
        assert found[place] == pytest.approx(risk, rel=1e-10)


def test_no_sample_is_ahead():
    scale, targets = no_gap.SCALES["smoke"], np.geomspace(0.6, 0.05, 4)
    for arms in (no_gap.sgd(scale, targets, track)[0], no_gap.full_batch(scale, targets, track)[0]):
        ratios = np.array([[one.value for one in arm.ratio] for arm in arms])
        assert (ratios >= 0.99).all()
        assert np.isinf(ratios[0]).any()  # 32 examples never get to the smallest risk
        assert (ratios[1][np.isfinite(ratios[1])] > 1.001).any()
