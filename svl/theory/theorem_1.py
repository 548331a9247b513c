"""Theorem 1: N samples until abs(a) = a*, then the population; measured times compared with their bounds.

Source: Liu et al. 2026, section 4.2 and appendix A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure
from rich.table import Table

from svl.results.style import GREY, RAMP
from svl.theory import experiment
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.slope import fit, geometric_mean
from svl.theory.times import (
    RATE,
    SCALES,
    Alone,
    FirstPhase,
    Point,
    Times,
    first_phase,
    measure,
    population_alone,
)
from svl.theory.two_phase_analysis import as_numbers, caption, first_exponents, logarithms, savings, upper_bounds
from svl.theory.two_phase_figure import draw_first, draw_totals

Time = Callable[[Point], Times]


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """Times, exponents and bounds of Theorem 1."""
    scale = SCALES[size]
    points, phases = measure(scale, "true", track, seed), first_phase(scale, "true", track, seed)
    alone = population_alone(scale, seed)
    rows = exponents(points, phases) + alone.exponents()
    limits = upper_bounds(points, phases) + alone.bounds()
    tables = [experiment.exponents(rows, caption(scale)), experiment.bounds(limits), totals(points, alone)]
    numbers = {**as_numbers(points, phases, rows, limits), "population_alone": _numbers_alone(alone)}
    numbers["population_over_two_phases"] = savings(points, alone)
    return Finding(tables, draw(points, phases, rows, alone), numbers)


def exponents(points: list[Point], phases: list[FirstPhase]) -> list[Exponent]:
    """Exponents in N, N d and d, with true labels."""
    largest = [point for point in points if point.start.dim == points[-1].start.dim]
    most = [point for point in points if point.start.samples == point.start.dim**2]
    rows = first_exponents(phases)

    def add(what: str, of: str, claimed: float, bound: bool, among: list[Point], time: Time) -> None:
        sizes = {"N": [p.start.samples for p in among], "d": [p.start.dim for p in among]}
        sizes["N d"] = [n * d for n, d in zip(sizes["N"], sizes["d"], strict=True)]
        rows.append(Exponent(what, of, claimed, bound, fit(sizes[of], [time(p) for p in among])))

    add("T / logs, a held", "N d", 0.25, False, points, lambda p: p.held / logarithms(p))
    add("T, a held", "N", 0.25, False, largest, lambda p: p.held)
    add("T, a held, best a*", "N d", 0.25, True, points, lambda p: p.best(True)[1])
    add("T, a held, best a*", "N", 0.25, True, largest, lambda p: p.best(True)[1])
    add("T, a free, best a*", "N d", 0.25, True, points, lambda p: p.best(False)[1])
    add("T, a free, best a*", "N", 0.25, True, largest, lambda p: p.best(False)[1])
    add("T, a free", "N d", 0.25, True, points, lambda p: p.totals(False)[0])
    add("T, a free", "N", 0.25, True, largest, lambda p: p.totals(False)[0])
    add("T, a free, N = d²", "d", 0.75, True, most, lambda p: p.totals(False)[0])
    return rows


def totals(points: list[Point], alone: Alone) -> Table:
    """Table of total times at each N in the largest dimension, a free, and of the population alone."""
    rows = []
    for point in (p for p in points if p.start.dim == points[-1].start.dim):
        target, total = point.best(held=False)
        cells = [
            [experiment.number(point.targets[0]), _shown(point.totals(False)[0])],
            [experiment.number(target), _shown(total)],
        ]
        rows.append([str(point.start.samples), *cells[0], *cells[1]])
    rows.append(["population alone", "", _shown(RATE * alone.free[-1]), "", ""])
    columns = ["N", "theorem's a*", "η T", "best a*", "η T"]
    return experiment.table(f"Both phases, a free, d = {points[-1].start.dim}", columns, rows)


def _shown(times: Times) -> str:
    return experiment.interval(*geometric_mean(times))


def draw(points: list[Point], phases: list[FirstPhase], exponent_rows: Sequence[Exponent], alone: Alone) -> Figure:
    """Phase 1 against N, total times against N d with a held and a free, and the population alone against m."""
    figure, (first, held, free, single) = experiment.panels(2, 2)
    draw_first(first, phases, exponent_rows, points[0].start.labels)
    draw_totals(held, free, points)
    level = geometric_mean(RATE * alone.free[-1]).value
    free.axhline(level, color=GREY, linewidth=0.8, linestyle=":", label=f"population alone, d = {alone.dim}")
    for name, times, color in (("a held", alone.held, RAMP(1.0)), ("a free", alone.free, RAMP(0.0))):
        exponent = fit(alone.widths, times).exponent
        means = [geometric_mean(RATE * t) for t in times]
        experiment.points(
            single, alone.widths, means, f"{name}: exponent {experiment.interval(*exponent)}", color=color
        )
    limits = [geometric_mean(RATE * bound).value for bound in alone.bound]
    single.plot(alone.widths, limits, color=GREY, linestyle="--", linewidth=1, label="bound, exponent 1/2")
    experiment.decorate(single, f"Population alone, d = {alone.dim}", "m", "η T")
    for axes in (first, held, free, single):
        experiment.legend(axes)
    return figure


def _numbers_alone(alone: Alone) -> list[dict[str, float]]:
    columns = {"held": alone.held, "free": alone.free, "bound": alone.bound}
    return [
        {"width": width, **{name: RATE * geometric_mean(times[i]).value for name, times in columns.items()}}
        for i, width in enumerate(alone.widths)
    ]
