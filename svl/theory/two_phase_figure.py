"""Panels of two-phase training, which the figures of Theorem 1 and Corollary 2 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from svl.results.style import GREY, RAMP
from svl.theory import bounds, experiment
from svl.theory.experiment import Exponent
from svl.theory.moment import Labels
from svl.theory.slope import geometric_mean
from svl.theory.times import RATE, FirstPhase, Point
from svl.theory.two_phase_analysis import total_bound


def draw_first(axes: Any, phases: list[FirstPhase], exponent_rows: Sequence[Exponent], labels: Labels) -> None:
    """The panel of phase 1: time eta T_1 / a* against N."""
    for phase, exponent, color in ((phases[0], exponent_rows[0], RAMP(0.0)), (phases[1], exponent_rows[2], RAMP(0.6))):
        means = [geometric_mean(times) for times in phase.times]
        label = f"a* = {experiment.number(phase.target)}: exponent {experiment.interval(*exponent.measured.exponent)}"
        experiment.points(axes, phase.samples, means, label, color=color)
    sizes = np.array(phases[0].samples, float)
    axes.plot(
        sizes,
        2 * np.sqrt(sizes) / bounds.SIGNAL[labels],
        color=GREY,
        linestyle="--",
        linewidth=1,
        label="bound, exponent 1/2",
    )
    experiment.decorate(axes, f"Phase 1, d = {phases[0].dim}", "N", "η T₁ / a*")


def draw_totals(held: Any, free: Any, points: list[Point]) -> None:
    """The panels of total times: eta T against N d, with a held fixed in phase 2 and with a free."""
    dims = sorted({point.start.dim for point in points})
    for place, dim in enumerate(dims):
        of_dim = [point for point in points if point.start.dim == dim]
        product = [point.start.samples * dim for point in of_dim]
        color = RAMP(place / max(1, len(dims) - 1))
        for axes, is_held in ((held, True), (free, False)):
            means = [geometric_mean(p.held if is_held else p.totals(False)[0]) for p in of_dim]
            experiment.points(axes, product, means, f"d = {dim}", color=color)
            chosen = [geometric_mean(p.best(is_held)[1]) for p in of_dim]
            look = {"color": color, "linestyle": ":", "marker": "s", "markersize": 3, "fillstyle": "none"}
            experiment.points(axes, product, chosen, "", **look)
        limits = [RATE * float(np.median(total_bound(p))) for p in of_dim]
        held.plot(product, limits, color=color, linestyle="--", linewidth=1)
    held.plot([], [], color=GREY, linestyle="--", linewidth=1, label="bound")
    for axes in (held, free):
        axes.plot([], [], color=GREY, linestyle=":", marker="s", markersize=3, fillstyle="none", label="best a*")
    experiment.decorate(held, "Both phases, a held in phase 2", "N d", "η (T₁ + T₂)")
    experiment.decorate(free, "Both phases, a free", "N d", "η (T₁ + T₂)")
