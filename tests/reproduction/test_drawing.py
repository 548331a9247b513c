"""What a figure's panels show."""

import itertools

import pandas as pd
import pytest

from svl.reproduction.drawing import draw
from svl.reproduction.panel import Panel


def test_a_heatmap_of_two_rates_shows_the_best_of_the_third(curves, outcome):
    onsets = {(a, b, lr): 100.0 * (a + 3 * b + 2 * abs(lr - a)) for a, b, lr in itertools.product((1, 2), repeat=3)}
    parts = [curves([onset], **{"g.lr": lr, "g.first": a, "g.rest": b}) for (a, b, lr), onset in onsets.items()]
    figure = draw(outcome(grids={"large": pd.concat(parts)}, large=[300.0]), [Panel("grid", ["large"])])
    shown = {text.xy: float(text.get_text()) for text in figure.axes[0].texts}
    # accuracy is 0.5 before and 1 from the onset on, at 100 measurements after the first
    best = {(b - 1, a - 1): min(onsets[a, b, lr] for lr in (1, 2)) for a in (1, 2) for b in (1, 2)}
    assert shown == {place: pytest.approx(1.005 - onset / 2000, abs=0.006) for place, onset in best.items()}
