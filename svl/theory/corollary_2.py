"""Corollary 2: random labels in phase 1, compared with true labels, and the bound on the total time.

Source: Liu et al. 2026, section 5.1 and appendix A.5.
"""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure
from rich.table import Table

from svl.results.statistics import Estimate
from svl.results.style import RAMP
from svl.theory import experiment
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.slope import fit, ratio_of_means
from svl.theory.times import SCALES, FirstPhase, Point, first_phase, measure, population_alone
from svl.theory.two_phase_analysis import as_numbers, caption, first_exponents, logarithm, savings, upper_bounds
from svl.theory.two_phase_figure import draw_first, draw_totals


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """Times, exponents and bounds with random labels, and their times divided by those with true labels."""
    scale = SCALES[size]
    points, phases = measure(scale, "random", track, seed), first_phase(scale, "random", track, seed)
    true = measure(replace(scale, dims=scale.dims[-1:]), "true", track, seed)
    rows = first_exponents(phases) + exponents(points)
    limits = upper_bounds(points, phases)
    ratio_rows = [ratios(random, true_point) for random, true_point in zip(points[-len(true) :], true, strict=True)]
    tables = [experiment.exponents(rows, caption(scale)), experiment.bounds(limits), comparison(true, ratio_rows)]
    numbers = as_numbers(points, phases, rows, limits)
    numbers["random_over_true"] = [
        {"samples": point.start.samples, "target": target, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
        for point, row in zip(true, ratio_rows, strict=True)
        for target, ratio in zip(point.targets[1:], row, strict=True)
    ]
    numbers["population_over_two_phases"] = savings(points, population_alone(scale, seed))
    return Finding(tables, draw(points, phases, rows, true, ratio_rows), numbers)


def exponents(points: list[Point]) -> list[Exponent]:
    """Exponents of the total time, sqrt(N / d) + sqrt(d) log(d / epsilon): up to 1/2 in N and, up to logs, 1/2 in d."""
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
    """Total time with random labels divided by that with true labels, a free, at each a* except the first.

    Times are geometric means over the replicas.
    """
    pairs = zip(random.totals(False)[1:], true.totals(False)[1:], strict=True)
    return [ratio_of_means(random_times, true_times) for random_times, true_times in pairs]


def comparison(true: list[Point], compared: list[list[Estimate]]) -> Table:
    """The table of ratios, random over true labels, by N and a*."""
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
    exponent_rows: list[Exponent],
    true: list[Point],
    compared: list[list[Estimate]],
) -> Figure:
    """Phase 1, total times, and random labels compared with true labels."""
    figure, (first, held, free, ratio) = experiment.panels(2, 2)
    draw_first(first, phases, exponent_rows, "random")
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
