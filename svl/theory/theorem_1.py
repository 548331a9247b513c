"""Theorem 1: N samples until abs(a) is at a*, then the population; measured times beside their bounds.

Source: Liu et al. 2026, section 4.2 and appendix A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from rich.table import Table

from svl.results.style import GREY, RAMP
from svl.theory import bounds, experiment
from svl.theory.experiment import Bound, Exponent, Finding, Size, Track
from svl.theory.moment import Labels
from svl.theory.slope import fit, geometric_mean
from svl.theory.times import (
    DELTA,
    EPSILON,
    LARGE,
    RATE,
    SCALES,
    Alone,
    FirstPhase,
    Point,
    Scale,
    Times,
    first_phase,
    measure,
    norm_bound,
    population_alone,
)
from svl.theory.two_phase import Grown

Time = Callable[[Point], Times]


def total_bound(point: Point) -> Float[ndarray, "replica"]:
    """T_1 + T_2 of appendix A.4.3 at the theorem's a*, in steps of the common rate."""
    start, target = point.start, point.targets[0]
    first = bounds.phase_1(target, point.grown[0].initial, start.samples, RATE, start.labels)
    return np.asarray(first + bounds.phase_2(target, 1 / (4 * np.sqrt(start.dim)), EPSILON, RATE))


def upper_bounds(points: list[Point], phases: list[FirstPhase]) -> list[Bound]:
    """Every bound on a time, with the replicas for which the proof gives it."""
    ratios: dict[str, list[ndarray]] = {}

    def first(name: str, grown: Grown, target: float, samples: int, labels: Labels) -> None:
        bound = bounds.phase_1(target, grown.initial, samples, grown.rate, labels)
        ratios.setdefault(name, []).append((grown.steps / bound)[grown.stable])

    for phase, name in zip(phases, ("T_1, small a*", f"T_1, a* = {LARGE}"), strict=True):
        for grown, samples in zip(phase.grown, phase.samples, strict=True):
            first(name, grown, phase.target, samples, points[0].start.labels)
    for point in points:
        start = point.start
        for target, grown, free in zip(point.targets, point.grown, point.free, strict=True):
            first("T_1, every a*", grown, target, start.samples, start.labels)
            contraction = bounds.phase_2(grown.a, grown.alignment, EPSILON, RATE)
            # Farther away the sign that phase 2 needs is not certain.
            near = grown.drift <= 1 / (4 * np.sqrt(start.dim))
            ratios.setdefault("T_2, a held", []).append((grown.held(EPSILON) / contraction)[near])
            ratios.setdefault("T_2, a free", []).append((free / contraction)[near])
        for name, held in (("held", True), ("free", False)):
            total = point.totals(held)[0] / RATE / total_bound(point)
            ratios.setdefault(f"T_1 + T_2, theorem's a*, a {name}", []).append(total)
    return [Bound(name, np.concatenate(parts)) for name, parts in ratios.items()]


def logarithm(point: Point) -> Float[ndarray, "replica"]:
    """The total's log(d / epsilon): the logarithm of how much r^2 = (1 - alpha^2) / alpha^2 of lemma 6 shrinks."""
    alignment = np.square(point.resolved.alignment)
    return np.log((1 - alignment) / alignment * (1 - EPSILON) / EPSILON)


def logarithms(point: Point) -> Float[ndarray, "replica"]:
    """What stands beside the power in theorem 1's total: log(d / epsilon), and sqrt(B) <= log^(1/2)(d / delta)."""
    return logarithm(point) * np.sqrt(norm_bound(point.start.dim, point.start.samples, point.start.labels))


def exponents(points: list[Point], phases: list[FirstPhase]) -> list[Exponent]:
    """In N, N d and d, of the theorem with true labels."""
    largest = [point for point in points if point.start.dim == points[-1].start.dim]
    most = [point for point in points if point.start.samples == point.start.dim**2]
    found = first_exponents(phases)

    def add(what: str, of: str, claimed: float, bound: bool, among: list[Point], time: Time) -> None:
        sizes = {"N": [p.start.samples for p in among], "d": [p.start.dim for p in among]}
        sizes["N d"] = [n * d for n, d in zip(sizes["N"], sizes["d"], strict=True)]
        found.append(Exponent(what, of, claimed, bound, fit(sizes[of], [time(p) for p in among])))

    add("T / logs, a held", "N d", 0.25, False, points, lambda p: p.held / logarithms(p))
    add("T, a held", "N", 0.25, False, largest, lambda p: p.held)
    add("T, a held, best a*", "N d", 0.25, True, points, lambda p: p.best(True)[1])
    add("T, a held, best a*", "N", 0.25, True, largest, lambda p: p.best(True)[1])
    add("T, a free, best a*", "N d", 0.25, True, points, lambda p: p.best(False)[1])
    add("T, a free, best a*", "N", 0.25, True, largest, lambda p: p.best(False)[1])
    add("T, a free", "N d", 0.25, True, points, lambda p: p.totals(False)[0])
    add("T, a free", "N", 0.25, True, largest, lambda p: p.totals(False)[0])
    add("T, a free, N = d²", "d", 0.75, True, most, lambda p: p.totals(False)[0])
    return found


def first_exponents(phases: list[FirstPhase]) -> list[Exponent]:
    """Of T_1 in N: where q is the sample's signal, up to d^(3/2), and on the theorem's range from d to d^2."""
    small, large = phases
    found = []
    for phase, what, low, high, bound in (
        (small, "T_1, small a*, N ≤ d^1.5", 0.0, 1.5, False),
        (small, "T_1, small a*, N ≥ d", 1.0, 2.0, False),
        (large, f"T_1, a* = {LARGE}, N ≥ d", 1.0, 2.0, True),
    ):
        inside = [i for i, n in enumerate(phase.samples) if phase.dim**low <= 1.01 * n and n <= 1.01 * phase.dim**high]
        times = fit([phase.samples[i] for i in inside], [phase.times[i] for i in inside])
        found.append(Exponent(what, "N", 0.5, bound, times))
    return found


def run(size: Size, track: Track) -> Finding:
    """Times, exponents and bounds of Theorem 1."""
    scale = SCALES[size]
    points, phases, alone = measure(scale, "true", track), first_phase(scale, "true", track), population_alone(scale)
    found = exponents(points, phases) + alone.exponents()
    limits = upper_bounds(points, phases) + alone.bounds()
    tables = [experiment.exponents(found, caption(scale)), experiment.bounds(limits), savings(points, alone)]
    numbers = {**as_numbers(points, phases, found, limits), "population_alone": _numbers_alone(alone)}
    return Finding(tables, draw(points, phases, found, alone), numbers)


def caption(scale: Scale) -> str:
    """What holds for every row."""
    settings = f"eta = {RATE} or less, epsilon = {EPSILON}, delta = {DELTA}"
    return f"{settings}; {scale.replicas} replicas a point, all with the event's luck"


def savings(points: list[Point], alone: Alone) -> Table:
    """Total steps at each N in the largest dimension, a free, and those of the population alone."""
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


def draw(points: list[Point], phases: list[FirstPhase], found: Sequence[Exponent], alone: Alone) -> Figure:
    """Phase 1 against N, totals against N d with a held and with a free, and the population alone against m."""
    figure, (first, held, free, single) = experiment.panels(2, 2)
    draw_first(first, phases, found, points[0].start.labels)
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


def draw_first(axes: Any, phases: list[FirstPhase], found: Sequence[Exponent], labels: Labels) -> None:
    """Time eta T_1 / a* against N."""
    for phase, exponent, color in ((phases[0], found[0], RAMP(0.0)), (phases[1], found[2], RAMP(0.6))):
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
    """Time eta T against N d: a held fixed in phase 2, and a free."""
    dims = sorted({point.start.dim for point in points})
    for place, dim in enumerate(dims):
        mine = [point for point in points if point.start.dim == dim]
        product = [point.start.samples * dim for point in mine]
        color = RAMP(place / max(1, len(dims) - 1))
        for axes, is_held in ((held, True), (free, False)):
            theirs = [geometric_mean(p.held if is_held else p.totals(False)[0]) for p in mine]
            experiment.points(axes, product, theirs, f"d = {dim}", color=color)
            chosen = [geometric_mean(p.best(is_held)[1]) for p in mine]
            look = {"color": color, "linestyle": ":", "marker": "s", "markersize": 3, "fillstyle": "none"}
            experiment.points(axes, product, chosen, "", **look)
        limits = [RATE * float(np.median(total_bound(p))) for p in mine]
        held.plot(product, limits, color=color, linestyle="--", linewidth=1)
    held.plot([], [], color=GREY, linestyle="--", linewidth=1, label="bound")
    for axes in (held, free):
        axes.plot([], [], color=GREY, linestyle=":", marker="s", markersize=3, fillstyle="none", label="best a*")
    experiment.decorate(held, "Both phases, a held in phase 2", "N d", "η (T₁ + T₂)")
    experiment.decorate(free, "Both phases, a free", "N d", "η (T₁ + T₂)")


def as_numbers(
    points: list[Point], phases: list[FirstPhase], found: Sequence[Exponent], limits: Sequence[Bound]
) -> dict[str, Any]:
    """What the figure shows, for JSON."""
    rows = []
    for point in points:
        where: dict[str, Any] = {"dim": point.start.dim, "samples": point.start.samples, "event": point.start.chance}
        rows.append({**where, "target": point.targets[0], "time_held": geometric_mean(point.held).value})
        for held in (True, False):
            totals = [geometric_mean(total).value for total in point.totals(held)]
            rows[-1]["times_held" if held else "times_free"] = dict(zip(map(str, point.targets), totals, strict=True))
    first = [
        {"dim": p.dim, "target": p.target, "samples": p.samples, "time": [geometric_mean(t).value for t in p.times]}
        for p in phases
    ]
    settings = {"rate": RATE, "epsilon": EPSILON, "delta": DELTA, "labels": points[0].start.labels}
    tables = {"exponents": [one.numbers() for one in found], "bounds": [one.numbers() for one in limits]}
    return {"settings": settings, "points": rows, "first_phase": first, **tables}


def _numbers_alone(alone: Alone) -> list[dict[str, float]]:
    columns = {"held": alone.held, "free": alone.free, "bound": alone.bound}
    return [
        {"width": width, **{name: RATE * geometric_mean(times[i]).value for name, times in columns.items()}}
        for i, width in enumerate(alone.widths)
    ]
