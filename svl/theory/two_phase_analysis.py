"""Exponents and bounds of two-phase training, which Theorem 1 and Corollary 2 share.

Source: Liu et al. 2026, section 4.2 and appendix A.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from svl.theory import bounds
from svl.theory.experiment import Bound, Exponent
from svl.theory.moment import Labels
from svl.theory.slope import fit, geometric_mean, ratio_of_means
from svl.theory.times import DELTA, EPSILON, LARGE, RATE, Alone, FirstPhase, Point, Scale, norm_bound
from svl.theory.two_phase import Grown


def total_bound(point: Point) -> Float[ndarray, "replica"]:
    """Bound of appendix A.4.3 on T_1 + T_2 at the theorem's a*, in steps of the common rate."""
    start, target = point.start, point.targets[0]
    first = bounds.phase_1(target, point.grown[0].initial, start.samples, RATE, start.labels)
    return np.asarray(first + bounds.phase_2(target, 1 / (4 * np.sqrt(start.dim)), EPSILON, RATE))


def upper_bounds(points: list[Point], phases: list[FirstPhase]) -> list[Bound]:
    """Measured times divided by their bounds, for the replicas to which the proof applies."""
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
            # After a larger drift, the proof does not give the sign that phase 2 needs.
            near = grown.drift <= 1 / (4 * np.sqrt(start.dim))
            ratios.setdefault("T_2, a held", []).append((grown.held(EPSILON) / contraction)[near])
            ratios.setdefault("T_2, a free", []).append((free / contraction)[near])
        for name, held in (("held", True), ("free", False)):
            total = point.totals(held)[0] / RATE / total_bound(point)
            ratios.setdefault(f"T_1 + T_2, theorem's a*, a {name}", []).append(total)
    return [Bound(name, np.concatenate(parts)) for name, parts in ratios.items()]


def logarithm(point: Point) -> Float[ndarray, "replica"]:
    """The factor log(d / epsilon) of the total: the log of how much lemma 6 shrinks r^2 = (1 - alpha^2) / alpha^2."""
    alignment = np.square(point.resolved.alignment)
    return np.log((1 - alignment) / alignment * (1 - EPSILON) / EPSILON)


def logarithms(point: Point) -> Float[ndarray, "replica"]:
    """The logarithmic factors in theorem 1's total: log(d / epsilon), and sqrt(B) <= log^(1/2)(d / delta)."""
    return logarithm(point) * np.sqrt(norm_bound(point.start.dim, point.start.samples, point.start.labels))


def first_exponents(phases: list[FirstPhase]) -> list[Exponent]:
    """Exponents of T_1 in N: up to N = d^(3/2), where q is the sample's signal, and for N from d to d^2."""
    small, large = phases
    rows = []
    for phase, what, low, high, bound in (
        (small, "T_1, small a*, N ≤ d^1.5", 0.0, 1.5, False),
        (small, "T_1, small a*, N ≥ d", 1.0, 2.0, False),
        (large, f"T_1, a* = {LARGE}, N ≥ d", 1.0, 2.0, True),
    ):
        inside = [i for i, n in enumerate(phase.samples) if phase.dim**low <= 1.01 * n and n <= 1.01 * phase.dim**high]
        times = fit([phase.samples[i] for i in inside], [phase.times[i] for i in inside])
        rows.append(Exponent(what, "N", 0.5, bound, times))
    return rows


def savings(points: list[Point], alone: Alone) -> dict[str, list[dict[str, Any]]]:
    """Time with the population alone over that of both phases, both weights trained, for each N in the largest d.

    At the theorem's a*, and at the largest a* of the experiment; a ratio above 1 is a saving. The population alone has
    the largest width m, with which its bound is the longest.
    """
    largest = [point for point in points if point.start.dim == points[-1].start.dim]
    single = RATE * alone.free[-1]
    return {
        name: [
            {"samples": point.start.samples, "target": point.targets[place]}
            | ratio_of_means(single, point.totals(False)[place])._asdict()
            for point in largest
        ]
        for name, place in (("theorem", 0), ("largest", -1))
    }


def caption(scale: Scale) -> str:
    """The settings that all rows of a table share."""
    settings = f"eta = {RATE} or less, epsilon = {EPSILON}, delta = {DELTA}"
    return f"{settings}; {scale.replicas} replicas a point, all in the theorem's event"


def as_numbers(
    points: list[Point], phases: list[FirstPhase], exponent_rows: Sequence[Exponent], limits: Sequence[Bound]
) -> dict[str, Any]:
    """The numbers of the figure, for JSON."""
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
    tables = {"exponents": [row.numbers() for row in exponent_rows], "bounds": [row.numbers() for row in limits]}
    return {"settings": settings, "points": rows, "first_phase": first, **tables}
