"""Corollary 2: random labels in phase 1; what is the same as with true ones, and the total's bound.

Source: Liu et al. 2026, section 5.1 and appendix A.5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from svl.results.statistics import Estimate
from svl.results.style import RAMP
from svl.theory import experiment
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.slope import fit, geometric_mean
from svl.theory.theorem_1 import as_numbers, caption, draw_first, draw_totals, first_exponents, logarithm, upper_bounds
from svl.theory.times import SCALES, FirstPhase, Point, first_phase, measure


def run(size: Size, track: Track) -> Finding:
    """Times, exponents and bounds with random labels, and how much longer it takes than with true ones."""
    scale = SCALES[size]
    points, phases = measure(scale, "random", track), first_phase(scale, "random", track)
    true = measure(replace(scale, dims=scale.dims[-1:]), "true", track)
    found = first_exponents(phases) + exponents(points)
    limits = upper_bounds(points, phases)
    compared = [ratios(mine, theirs) for mine, theirs in zip(points[-len(true) :], true, strict=True)]
    tables = [experiment.exponents(found, caption(scale)), experiment.bounds(limits), comparison(true, compared)]
    numbers = as_numbers(points, phases, found, limits)
    numbers["random_over_true"] = [
        {"samples": point.start.samples, "target": target, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
        for point, row in zip(true, compared, strict=True)
        for target, ratio in zip(point.targets[1:], row, strict=True)
    ]
    return Finding(tables, draw(points, phases, found, true, compared), numbers)


def exponents(points: list[Point]) -> list[Exponent]:
    """Of the total sqrt(N / d) + sqrt(d) log(d / epsilon): 0 in N, 1/2 in d, beside logarithms."""
    largest = [p for p in points if p.start.dim == points[-1].start.dim]
    most = [p for p in points if p.start.samples == p.start.dim**2]
    in_d = fit([p.start.dim for p in most], [p.held / logarithm(p) for p in most])
    free = fit([p.start.dim for p in most], [p.totals(False)[0] for p in most])
    in_n = fit([p.start.samples for p in largest], [p.totals(False)[0] for p in largest])
    return [
        Exponent("T / log, a held, N = d²", "d", 0.5, True, in_d),
        Exponent("T, a free, N = d²", "d", 0.5, True, free),
        Exponent("T, a free", "N", 0.5, True, in_n),
    ]


def ratios(random: Point, true: Point) -> list[Estimate]:
    """Geometric mean of the total with random labels over that with true ones, a free, at each a* but the first."""
    generator, found = np.random.default_rng(0), []
    for mine, theirs in zip(random.totals(False)[1:], true.totals(False)[1:], strict=True):
        logs = [generator.choice(np.log(times), (2000, len(times))).mean(1) for times in (mine, theirs)]
        low, high = np.exp(np.quantile(logs[0] - logs[1], (0.025, 0.975)))
        found.append(Estimate(geometric_mean(mine).value / geometric_mean(theirs).value, float(low), float(high)))
    return found


def comparison(true: list[Point], compared: list[list[Estimate]]) -> Table:
    """Random over true, by N and a*."""
    chosen = range(0, len(compared[0]), max(1, len(compared[0]) // 2 - 1))
    columns = ["N", *(f"a* = {experiment.number(true[0].targets[1 + i])}" for i in chosen)]
    rows = [
        [str(p.start.samples), *(experiment.interval(*row[i]) for i in chosen)]
        for p, row in zip(true, compared, strict=True)
    ]
    return experiment.table(f"Total steps, random labels over true ones, d = {true[0].start.dim}", columns, rows)


def draw(
    points: list[Point],
    phases: list[FirstPhase],
    found: list[Exponent],
    true: list[Point],
    compared: list[list[Estimate]],
) -> Figure:
    """Phase 1, totals, and random labels against true ones."""
    figure, (first, held, free, ratio) = experiment.panels(2, 2)
    draw_first(first, phases, found, "random")
    draw_totals(held, free, points)
    for i, (point, row) in enumerate(zip(true, compared, strict=True)):
        color = RAMP(i / max(1, len(true) - 1))
        experiment.points(ratio, point.targets[1:], row, f"N = {point.start.samples}", color=color)
    experiment.decorate(
        ratio, f"Random labels over true ones, d = {true[0].start.dim}", "a*", "ratio of T₁ + T₂, a free", "x"
    )
    for axes in (first, held, free, ratio):
        experiment.legend(axes)
    return figure
