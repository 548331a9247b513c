"""What a figure's panels show."""

import itertools

import pandas as pd
import pytest

from svl.reproduction.drawing import draw
from svl.reproduction.outcome import Outcome
from svl.reproduction.panel import Panel


@pytest.mark.parametrize("order", [("lr", "first", "rest"), ("first", "rest", "lr")])
def test_a_heatmap_of_two_rates_shows_the_best_of_the_third(curves, outcome, order):
    names = {"lr": "model.optimizer.lr", "first": "model.groups.first.scale", "rest": "model.groups.rest.scale"}
    onsets = {(a, b, lr): 100.0 * (a + 3 * b + 2 * abs(lr - a)) for a, b, lr in itertools.product((1, 2), repeat=3)}
    parts = [
        curves([onset], **{names[key]: {"lr": lr, "first": a, "rest": b}[key] for key in order})
        for (a, b, lr), onset in onsets.items()
    ]
    figure = draw(outcome(grids={"large": pd.concat(parts)}, large=[300.0]), [Panel("grid", ["large"])])
    shown = {text.xy: float(text.get_text()) for text in figure.axes[0].texts}
    # accuracy is 0.5 before and 1 from the onset on, at 100 measurements after the first
    best = {(b - 1, a - 1): min(onsets[a, b, lr] for lr in (1, 2)) for a in (1, 2) for b in (1, 2)}
    assert shown == {place: pytest.approx(1.005 - onset / 2000, abs=0.006) for place, onset in best.items()}


@pytest.mark.parametrize(("losses", "scale"), [((0.2, 0.3), "linear"), ((0.2, 1e10), "log")])
def test_scores_of_rates_that_differ_widely_are_on_a_logarithmic_axis(losses, scale):
    step = [0, 10, 20]
    parts = [
        pd.DataFrame({"step": step, "samples": step, "seed": 0, "model.optimizer.lr": lr, "val/loss": loss})
        for lr, loss in zip((0.1, 0.2), losses, strict=True)
    ]
    grids = {"small": pd.concat(parts).assign(diverged=False)}
    arms = {"small": parts[0].assign(diverged=False)}
    figure = draw(Outcome("val/loss", 0.1, arms, grids, {}), [Panel("grid")])
    assert figure.axes[0].get_yscale() == scale
