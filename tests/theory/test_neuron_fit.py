"""The neuron's own fit and the recursion agree at every step, on the same data, to rounding."""

import pandas as pd
import pytest

from svl.theory import neuron_fit
from svl.theory.fitting import fit


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return fit(neuron_fit.CONFIG_FILE, tmp_path_factory.mktemp("runs"), *neuron_fit.SMOKE)


def test_every_step_agrees(finished):
    both, found = neuron_fit.compare(finished)
    assert sorted(both["step"].unique()) == list(range(61))  # 40 steps on the sample, 20 on the population
    assert set(both["data.interventions.labels.kind"]) == {"task", "random"}
    assert both["data.size"].nunique() == 2
    assert all(0 < difference < 5e-6 for difference in found.values()), found
    moved = both.groupby("replica")["train/loss"].agg(lambda losses: losses.max() - losses.min())
    assert (moved > 1e-2).all()


def test_the_agreement_is_no_accident(finished):
    """A hundredth of the learning rate more is seen."""
    expected, _, _ = neuron_fit.recursion(finished)
    config = finished / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("lr: 0.05", "lr: 0.0505"))
    try:
        other, _, _ = neuron_fit.recursion(finished)
    finally:
        config.write_text(text)
    assert "lr: 0.05\n" in text
    assert (expected["train/loss"] - other["train/loss"]).abs().max() > 1e-4
    pd.testing.assert_frame_equal(neuron_fit.recursion(finished)[0], expected)
