import numpy as np
import pytest
from scipy import optimize

from svl.theory import regression, reuse_rate
from svl.theory.regression import Problem


def test_the_one_pass_curve_is_the_best_of_all_rates():
    problem = Problem.power_law(6, 1.0)
    curve = reuse_rate.one_pass_curve(problem, 2000.0)
    for place in (50, 200, 399):
        samples = curve.samples[place : place + 1]
        found = optimize.minimize_scalar(
            lambda log, n=samples: regression.one_pass(problem, np.exp([log]), n)[0, 0],
            bounds=(-9, np.log(0.8 / problem.spectrum.sum())),
            method="bounded",
            options={"xatol": 1e-6},
        )
        assert curve.risk[place] == pytest.approx(found.fun, rel=2e-4)
    assert (np.diff(curve.risk) < 0).all()
    np.testing.assert_allclose(curve.examples(curve.risk), curve.samples, rtol=1e-9)


def test_one_epoch_is_worth_its_examples_and_more_are_worth_more():
    setting = reuse_rate.settings("smoke")[0]
    curves = reuse_rate.measure(setting, "smoke", lambda items, what: items)
    for curve in curves:
        assert curve.reuse[0].low - 0.1 < 1 < curve.reuse[0].high + 0.1
        values = [one.value for one in curve.reuse]
        assert max(np.array(values) / reuse_rate.COUNTS) <= 1.1
        assert values[-1] == pytest.approx(curve.least_squares, rel=0.25)
    # Of two reference values one is that of the larger N.
    assert curves[-1].reuse[-1].low > curves[0].reuse[-1].value


def test_the_reuse_of_a_known_risk():
    """Risks of the one-pass curve itself at 3 N examples have E = 3."""
    problem = Problem.power_law(6, 1.0)
    curve = reuse_rate.one_pass_curve(problem, 3000.0)
    risk = np.interp(300, curve.samples, curve.risk)
    rates = np.linspace(-1, 1, 9)
    risks = np.tile(risk * np.exp(rates**2)[None, :, None], (5, 1, 2))
    estimates, resampled = reuse_rate.reuse(risks, curve, 100)
    for one in estimates:
        assert one == pytest.approx((3, 3, 3), rel=1e-3)
    np.testing.assert_allclose(resampled, 3, rtol=1e-3)
