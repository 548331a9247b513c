"""Beyond theorem 1: what remains of its exponents for m ReLU neurons and the logistic loss, on 2-sparse parity.

Source: Liu et al. 2026, section 4.2, whose neuron is quadratic, projected and trained with the correlation loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from svl.results.style import GREY, RAMP, STYLES
from svl.theory import experiment
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.relu_times import (
    SCALES,
    SMALL,
    TARGETS,
    Both,
    First,
    Scale,
    Smaller,
    both_phases,
    first_phases,
    from_smaller,
    mean_square_signal,
    of_population,
    paired_slope,
    saving,
)
from svl.theory.slope import fit, geometric_mean

COMMON = TARGETS[2]
"""The a* that every d has."""


def exponents(scale: Scale, first: list[First], both: list[Both], smaller: list[Smaller]) -> list[Exponent]:
    """Exponents of T_1 and of the total in N, d and 1 / s; those of the theorem are 1/2, at most 1/4, 1/2 and 1."""
    rows = []
    for phase in first:
        inside = [i for i, n in enumerate(phase.samples) if n <= scale.dim**2]
        measured = fit([phase.samples[i] for i in inside], [phase.times[i] for i in inside])
        name = f"T_1, a* = {phase.target}, m = {phase.width}"
        rows.append(Exponent(name, "N", 0.5, phase.target != TARGETS[0], measured))
    for width in scale.widths:
        for target in TARGETS:
            chosen = [r for r in both if (r.width, r.dim, r.target) == (width, scale.dims[-1], target)]
            measured = paired_slope([r.samples or 0 for r in chosen], [r.total for r in chosen])
            rows.append(Exponent(f"T, a* = {target}, m = {width}", "N", 0.25, True, measured))
    for width in scale.widths:
        small = [r for r in both if (r.width, r.target) == (width, COMMON) and r.samples == r.dim]
        alone = [r for r in both if r.width == width and r.target is None]
        for name, chosen in ((f"T, a* = {COMMON}, N = d", small), ("population alone", alone)):
            measured = fit([r.dim for r in chosen], [r.total for r in chosen])
            rows.append(Exponent(f"{name}, m = {width}", "d", 0.5, True, measured))
    for sizes in smaller:
        measured = fit(sizes.inverse, sizes.times)
        rows.append(Exponent(f"population alone, m = {sizes.width}", "1 / s", 1.0, True, measured))
    return rows


def savings(scale: Scale, both: list[Both]) -> Table:
    """The table of times of the population alone over those of both phases, in the largest d with every a*."""
    rows = []
    for width in scale.widths:
        for target in TARGETS:
            chosen = [r for r in both if (r.width, r.dim, r.target) == (width, scale.dims[-1], target)]
            ratios = [experiment.interval(*saving(both, r)) for r in chosen]
            ended = " ".join(experiment.number(float(r.ended.mean())) for r in chosen)
            rows.append([str(width), experiment.number(target), *ratios, ended])
    columns = ["m", "a*", "N = d", "N = d^1.5", "N = d²", "ended"]
    title = f"Time of the population alone over that of both phases, d = {scale.dims[-1]}"
    return experiment.table(title, columns, rows, "above 1 two phases are faster; ended: share of replicas, by N")


def totals(both: list[Both]) -> Table:
    """The table of times eta T by m and d."""
    rows = []
    for alone in (r for r in both if r.target is None):
        same = [r for r in both if (r.width, r.dim, r.target) == (alone.width, alone.dim, COMMON)]
        times = [experiment.interval(*geometric_mean(r.total)) for r in (alone, *same)]
        rows.append(
            [str(alone.width), str(alone.dim), times[0], experiment.number(float(alone.ended.mean())), *times[1:]]
        )
    columns = ["m", "d", "population alone", "ended", f"a* = {COMMON}, N = d", "N = d^1.5", "N = d²"]
    return experiment.table("Times η T", columns, rows)


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """Exponents of T_1 and of the total time, and where two phases are faster than the population alone."""
    scale = SCALES[size]
    first, both = first_phases(scale, track, seed), both_phases(scale, track, seed)
    slopes = exponents(scale, first, both, from_smaller(scale, track, seed))
    caption = f"T_1: d = {scale.dim}, N ≤ d²; T in N: d = {scale.dims[-1]}, N from d to d²; s = {SMALL}"
    tables = [experiment.exponents(slopes, caption), savings(scale, both), totals(both)]
    return Finding(tables, draw(scale, first, both, slopes), as_numbers(scale, first, both, slopes))


def as_numbers(scale: Scale, first: list[First], both: list[Both], slopes: list[Exponent]) -> dict[str, Any]:
    """The numbers for JSON."""
    phases = [
        {
            "width": phase.width,
            "target": phase.target,
            "samples": phase.samples,
            "time": [geometric_mean(times).value for times in phase.times],
            "reached": [float(reached.mean()) for reached in phase.reached],
        }
        for phase in first
    ]
    rows = [
        {
            "width": r.width,
            "dim": r.dim,
            "samples": r.samples,
            "target": r.target,
            "time": geometric_mean(r.total).value,
            "ended": float(r.ended.mean()),
            "saving": None if r.target is None else saving(both, r)._asdict(),
        }
        for r in both
    ]
    return {"dim": scale.dim, "exponents": [slope.numbers() for slope in slopes], "first": phases, "both": rows}


def draw(scale: Scale, first: list[First], both: list[Both], slopes: list[Exponent]) -> Figure:
    """T_1 against N, what both phases save against a*, and times against d."""
    figure, (phase, saved, against_dim) = experiment.panels(1, 3)
    colors = dict(zip(scale.widths, RAMP(np.linspace(0, 1, len(scale.widths))), strict=True))
    _draw_first(phase, scale, first, slopes, colors)
    for width in scale.widths:
        look: dict[str, Any] = {"color": colors[width]}
        for place, style in ((0, STYLES[0]), (2, STYLES[1])):
            chosen = [
                [r for r in both if (r.width, r.dim, r.target) == (width, scale.dims[-1], target)][place]
                for target in TARGETS
            ]
            ratios = [saving(both, r) for r in chosen]
            experiment.points(saved, TARGETS, ratios, "" if place else f"m = {width}", linestyle=style, **look)
        alone = [r for r in both if r.width == width and r.target is None]
        small = [r for r in both if (r.width, r.target) == (width, COMMON) and r.samples == r.dim]
        for rows, label, style in ((small, f"m = {width}", STYLES[0]), (alone, "", STYLES[1])):
            means = [geometric_mean(r.total) for r in rows]
            experiment.points(against_dim, [r.dim for r in rows], means, label, linestyle=style, **look)
    saved.axhline(1, color=GREY, linewidth=1, linestyle=":")
    for axes, names in ((saved, ("N = d", "N = d²")), (against_dim, (f"N = d, a* = {COMMON}", "population alone"))):
        for name, style in zip(names, STYLES, strict=False):
            axes.plot([], [], color=GREY, linestyle=style, label=name)
    experiment.decorate(saved, f"Population alone over both phases, d = {scale.dims[-1]}", "a*", "ratio of times")
    experiment.decorate(against_dim, "Both phases, and the population alone", "d", "η T", "y")
    against_dim.set_xticks([*scale.dims, scale.largest])
    for axes in (phase, saved, against_dim):
        experiment.legend(axes)
    return figure


def _draw_first(axes: Axes, scale: Scale, first: list[First], slopes: list[Exponent], colors: dict[int, Any]) -> None:
    for phase, slope in zip(first, slopes, strict=False):
        if phase.target == TARGETS[0]:
            means = [geometric_mean(times * np.sqrt(phase.width) / phase.target) for times in phase.times]
            label = f"m = {phase.width}, N^{slope.measured.exponent.value:.2f}"
            experiment.points(axes, phase.samples, means, label, color=colors[phase.width])
    curve = np.geomspace(first[0].samples[0], first[0].samples[-1], 80)
    model = [2 / np.sqrt(mean_square_signal(scale.dim, n)) for n in curve]
    axes.plot(curve, model, color=GREY, linestyle="--", linewidth=1, label="2 / rms q")
    axes.axvline(of_population(scale.dim), color=GREY, linestyle=":", linewidth=1, label="N = π d (d + 2)")
    experiment.decorate(axes, f"Phase 1, a* = {TARGETS[0]}, d = {scale.dim}", "N", "η T₁ √m / a*")
