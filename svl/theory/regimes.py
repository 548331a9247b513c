"""Which term of a* binds, for which rate, N and d; what follows for both phases; for which m phase 1 is empty.

Source: Liu et al. 2026, appendix A.4.3, where a* is the smallest of 1, 1 / (2 eta B), 1 / (32 eta B sqrt d) and
sqrt(c_0 / (64 B sqrt(N d))).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from rich.table import Table
from scipy import stats

from svl.results.style import GREY, RAMP
from svl.theory import bounds, experiment, two_phase
from svl.theory.bounds import SIGNAL, Number
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.moment import Labels
from svl.theory.slope import fit, geometric_mean
from svl.theory.times import DELTA, EPSILON, RATE, WIDTH, Times, norm_bound, slow
from svl.theory.two_phase import Grown

FLAT = bounds.TERMS.index("1 / (32 η B √d)")
RATES = (RATE, 0.5)
"""The rate of the other experiments, and the largest that the theorem allows."""


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        dim: d of the measured times.
        sizes: number of N, from d to d^2.
        replicas: replicas for each N.
        dims: every d of the map.
    """

    dim: int
    sizes: int
    replicas: int
    dims: tuple[int, ...]


SCALES = {"smoke": Scale(16, 3, 12, (16, 128)), "default": Scale(128, 9, 96, (16, 128, 1024, 8192))}


def binding(dim: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true") -> Int[ndarray, "..."]:
    """The place in :data:`~svl.theory.bounds.TERMS` of the term of a* that is the smallest."""
    return np.asarray(bounds.threshold_terms(dim, samples, rate, norm, labels).argmin(0))


def largest_flat(dim: Number, rate: Number, norm: Number, signal: float = SIGNAL["true"]) -> Number:
    """The N up to which 1 / (32 eta B sqrt d) binds, at a given B: N = 256 c_0^2 eta^4 B^2 d."""
    return 256 * signal**2 * np.power(rate, 4) * np.square(norm) * dim


def crossing_rate(dim: Number, samples: Number, norm: Number, signal: float = SIGNAL["true"]) -> Number:
    """The rate above which 1 / (32 eta B sqrt d) binds, at a given N and B: the inverse of :func:`largest_flat`."""
    return np.power(samples / (256 * signal**2 * np.square(norm) * dim), 0.25)


def empty_below(target: Number) -> Number:
    """The m below which abs(a_0) is at least a* for more than half of all neurons, a_0 ~ N(0, 1/m)."""
    return np.square(stats.norm.ppf(0.75) / target)


class Regime(NamedTuple):
    """Both phases at one N, with the a* of one rate.

    Attributes:
        rate: eta, which decides a*.
        samples: N.
        target: a*.
        resolved: phase 1 to a* at a rate so small that it takes dozens of steps.
        actual: phase 1 to a* at ``rate``.
    """

    rate: float
    samples: int
    target: float
    resolved: Grown
    actual: Grown

    @property
    def first(self) -> Times:
        """Time eta T_1, at the small rate."""
        return self.resolved.rate * self.resolved.steps

    @property
    def second(self) -> Times:
        """Time eta T_2 with a held fixed, at the small rate."""
        return self.resolved.rate * self.resolved.held(EPSILON)

    def row(self, dim: int) -> list[str]:
        """The row of the table of times."""
        bound = bounds.phase_1(self.target, 0.0, self.samples, self.rate)
        excess = float(np.median(np.abs(self.actual.a)) / self.target)
        steps = [float(np.median(self.actual.steps)), float(bound), excess, float(np.median(self.actual.free(EPSILON)))]
        term = bounds.TERMS[int(binding(dim, self.samples, self.rate, norm_bound(dim, self.samples, "true")))]
        first = [experiment.number(self.rate), str(self.samples), term, experiment.number(self.target)]
        return [*first, *(experiment.number(step) for step in steps)]

    def numbers(self) -> dict[str, Any]:
        """The numbers for JSON."""
        times = {"time_1": geometric_mean(self.first).value, "time_2_held": geometric_mean(self.second).value}
        steps = {"steps_1": float(np.median(self.actual.steps)), "steps_2": float(np.median(self.actual.free(EPSILON)))}
        return {"rate": self.rate, "samples": self.samples, "target": self.target, **times, **steps}


def measure(scale: Scale, track: Track, seed: int = 0) -> list[Regime]:
    """Both phases at every N, with the a* of both rates, on the same neurons and data."""
    generator, rows = experiment.generator(11, seed), []
    samples = [round(scale.dim**power) for power in np.linspace(1, 2, scale.sizes)]
    for count in track(samples, "regimes"):
        start = two_phase.start(generator, scale.dim, count, scale.replicas)
        a, norm = two_phase.outer_weights(generator, start, WIDTH), norm_bound(scale.dim, count, "true")
        for rate in RATES:
            target = float(bounds.threshold(scale.dim, count, rate, norm))
            resolved = two_phase.grow(start.basis, a, target, slow(target, count))
            rows.append(Regime(rate, count, target, resolved, two_phase.grow(start.basis, a, target, rate)))
    return sorted(rows, key=lambda row: row.rate)


def exponents(dim: int, rows: list[Regime]) -> list[Exponent]:
    """Exponents in N of both phases with the a* of each rate: 1/4 and 1/4, or 1/2 and 0 where a* is flat."""
    measured = []
    for rate, first, second in ((RATES[0], 0.25, 0.25), (RATES[1], 0.5, 0.0)):
        of_rate = [row for row in rows if row.rate == rate]
        near = [row for row in of_rate if row.samples <= 1.01 * dim**1.5]
        for name, chosen, claimed, part in (
            ("T_1, N ≤ d^1.5", near, first, "first"),
            ("T_1", of_rate, first, "first"),
            ("T_2, a held", of_rate, second, "second"),
        ):
            slope = fit([row.samples for row in chosen], [getattr(row, part) for row in chosen])
            measured.append(Exponent(f"{name}, a* of η = {rate}", "N", claimed, False, slope))
    return measured


def bounds_on_norm(dim: int, samples: Float[ndarray, "size"]) -> list[tuple[str, Number, Labels]]:
    """The bounds B of the map by name: that of :func:`~svl.theory.times.norm_bound`, and those at each N."""
    at_each: list[Labels] = ["true", "random"]
    of_labels = [(labels, bounds.spectral_norm(dim, samples, DELTA, labels), labels) for labels in at_each]
    return [("true, B at N = d", norm_bound(dim, dim, "true"), "true"), *of_labels]


def regions(scale: Scale) -> tuple[Table, list[dict[str, Any]]]:
    """Up to which N the flat term binds, for every d and rate, with B at N = d and with B at N."""
    cells, numbers = [], []
    for dim in scale.dims:
        samples = np.unique(np.round(dim ** np.linspace(1, 2, 400)))
        for rate in (RATE, 0.1, 0.2, 0.5):
            row: dict[str, Any] = {"dim": dim, "rate": rate}
            for name, norm, labels in bounds_on_norm(dim, samples):
                flat = binding(dim, samples, rate, norm, labels) == FLAT
                row[name] = float(samples[flat].max()) if flat.any() else None
            numbers.append(row)
            cells.append([str(dim), experiment.number(rate), *(_upto(row[name], dim) for name in list(row)[2:])])
    columns = ["d", "η", "true labels, B at N = d", "true labels, B at N", "random labels, B at N"]
    title = "The N from d to d² up to which 1 / (32 η B √d) binds; the square root binds beyond"
    return experiment.table(title, columns, cells, "the other two terms of a* never bind"), numbers


def _upto(samples: float | None, dim: int) -> str:
    if samples is None:
        return "nowhere"
    return "everywhere" if samples == dim**2 else f"{samples:.0f}"


def widths(rows: list[Regime]) -> Table:
    """For which m phase 1 is empty for half of all neurons, and for one in a hundred."""
    cells = []
    for row in (row for row in rows if row.samples in (rows[0].samples, rows[-1].samples)):
        rare = float((stats.norm.ppf(0.995) / row.target) ** 2)
        cells.append([experiment.number(row.rate), str(row.samples), experiment.number(row.target)])
        cells[-1] += [experiment.number(float(empty_below(row.target))), experiment.number(rare)]
    columns = ["η", "N", "a*", "m, half of the phases", "m, one in a hundred"]
    return experiment.table("The m below which phase 1 is empty, abs(a_0) >= a*", columns, cells)


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """The map of the terms, times in both regimes, and the widths for which phase 1 is empty."""
    scale = SCALES[size]
    rows = measure(scale, track, seed)
    slopes, (map_table, map_numbers) = exponents(scale.dim, rows), regions(scale)
    columns = ["η", "N", "smallest term", "a*", "T₁", "its bound", "|a| after T₁ / a*", "T₂, a free"]
    times = experiment.table(
        f"Steps at η, medians, d = {scale.dim}", columns, (row.row(scale.dim) for row in rows), "from a_0 close to 0"
    )
    tables = [map_table, experiment.exponents(slopes, f"d = {scale.dim}, at a small rate"), times, widths(rows)]
    numbers = {
        "dim": scale.dim,
        "regions": map_numbers,
        "exponents": [slope.numbers() for slope in slopes],
        "times": [{**row.numbers(), "empty_below": float(empty_below(row.target))} for row in rows],
    }
    return Finding(tables, draw(scale, rows, slopes), numbers)


def draw(scale: Scale, rows: list[Regime], slopes: list[Exponent]) -> Figure:
    """The map of the terms, a* against N, both phases against N, and the width for which phase 1 is empty."""
    figure, (terms, targets, phases, empty) = experiment.panels(2, 2)
    powers = np.linspace(1, 2, 60)
    for place, dim in enumerate(scale.dims):
        color = RAMP(place / max(1, len(scale.dims) - 1))
        norm = norm_bound(dim, dim, "true")
        terms.plot(powers, crossing_rate(dim, dim**powers, norm), color=color, label=f"d = {dim}, B at N = d")
        moving = crossing_rate(dim, dim**powers, bounds.spectral_norm(dim, dim**powers, DELTA))
        terms.plot(powers, moving, color=color, linestyle="--", linewidth=1)
    terms.plot([], [], color=GREY, linestyle="--", linewidth=1, label="B at N")
    for rate in RATES:
        terms.axhline(rate, color=GREY, linestyle=":", linewidth=1)
    terms.set_ylim(0.03, 0.6)
    experiment.decorate(terms, "a* is flat above the line, a square root below", "log N / log d", "η", "y")
    samples = scale.dim**powers
    for place, rate in enumerate((RATE, 0.1, 0.2, 0.5)):
        target = bounds.threshold(scale.dim, samples, rate, norm_bound(scale.dim, scale.dim, "true"))
        color = RAMP(place / 3)
        targets.plot(samples, target, color=color, label=f"η = {rate}")
        empty.plot(samples, empty_below(target), color=color, label=f"η = {rate}")
    empty.plot(samples, np.full(len(samples), float(scale.dim**2)), color=GREY, linestyle="--", linewidth=1, label="d²")
    experiment.decorate(targets, f"a*, d = {scale.dim}", "N", "a*")
    experiment.decorate(empty, "Half of the phases 1 are empty below", "N", "m")
    _draw_times(phases, rows, slopes)
    experiment.decorate(phases, f"Both phases with the a* of η, d = {scale.dim}", "N", "η T")
    for axes in (terms, targets, phases, empty):
        experiment.legend(axes)
    return figure


def _draw_times(axes: Axes, rows: list[Regime], slopes: list[Exponent]) -> None:
    for place, rate in enumerate(RATES):
        of_rate, color = [row for row in rows if row.rate == rate], RAMP(float(place))
        samples = [row.samples for row in of_rate]
        first, second = (slopes[3 * place + part].measured.exponent.value for part in (1, 2))
        means: list[list[Float[ndarray, "replica"]]] = [[row.first for row in of_rate], [row.second for row in of_rate]]
        label = f"η = {rate}: T₁, N^{first:.2f}"
        experiment.points(axes, samples, [geometric_mean(t) for t in means[0]], label, color=color)
        label = f"T₂, a held, N^{abs(second):.2f}"
        experiment.points(
            axes, samples, [geometric_mean(t) for t in means[1]], label, color=color, marker="s", linestyle="--"
        )
