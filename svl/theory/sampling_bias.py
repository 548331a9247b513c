"""Sampling bias: the signal that an output weight feels at initialisation, from a sample and from the population.

Source: Liu et al. 2026, section 4.2, lemma 1 and corollary 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from svl.results.statistics import HIGH, LOW, RESAMPLES, Estimate
from svl.results.style import GREY, RAMP
from svl.theory import bounds, experiment, moment, two_phase
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.moment import Labels
from svl.theory.slope import fit

COLORS = {"true": RAMP(0.0), "random": RAMP(0.6)}


@dataclass(frozen=True)
class Scale:
    """Dimension, how many N from d / 8 to d^2 / 2, datasets for each, neurons for each dataset."""

    dim: int
    sizes: int
    datasets: int
    neurons: int


SCALES = {"smoke": Scale(16, 4, 40, 4), "default": Scale(128, 11, 100, 16)}


@dataclass(frozen=True)
class Signals:
    """What one kind of labels gives.

    Attributes:
        squares: mean of q^2 over the neurons of each dataset, for each N.
        norms: spectral norm of M^ - M (M = 0 for random labels), for each N.
    """

    samples: list[int]
    squares: list[Float[ndarray, "dataset"]]
    norms: list[Float[ndarray, "dataset"]]

    def root_mean_square(self) -> list[Estimate]:
        """Of q over neurons and datasets, with intervals from resampling datasets."""
        found = []
        for squares in self.squares:
            drawn = np.random.default_rng(0).choice(squares, (RESAMPLES, len(squares))).mean(1)
            found.append(Estimate(*np.sqrt([squares.mean(), *np.quantile(drawn, (LOW, HIGH))]).tolist()))
        return found


def measure(scale: Scale, labels: Labels, track: Track) -> Signals:
    """Signals of fresh neurons on fresh datasets."""
    generator = np.random.default_rng(4)
    samples = [round(n) for n in np.geomspace(scale.dim / 8, scale.dim**2 / 2, scale.sizes)]
    found = Signals(samples, [], [])
    centre = moment.population(scale.dim) if labels == "true" else 0.0
    for count in track(samples, f"{labels} labels"):
        matrices = moment.empirical(generator, scale.dim, count, scale.datasets, labels)
        w, _ = two_phase.directions(generator, scale.dim, scale.datasets * scale.neurons, starts_well=False)
        w = w.reshape(scale.datasets, scale.neurons, scale.dim)
        found.squares.append(np.square(((w @ matrices) * w).sum(-1)).mean(1))
        found.norms.append(np.abs(np.linalg.eigvalsh(matrices - centre)).max(1))
    return found


def exponents(scale: Scale, found: dict[Labels, Signals]) -> list[Exponent]:
    """In N: -1/2 with random labels, and with true ones once the population's part is taken off."""
    rows = []
    for labels, signals in found.items():
        # Means over ten datasets, so that the logarithm of none is far from the rest.
        squares = [one.reshape(len(one) // 10, 10).mean(1) for one in signals.squares]
        measured = fit(signals.samples, [np.sqrt(one) for one in squares])
        rows.append(Exponent(f"rms q, {labels} labels", "N", -0.5, False, measured))
    of_population = moment.mean_square_signal(scale.dim, np.inf)
    # E[q^2] is the population's part times 1 - 1/N, and the sample's.
    sizes, means = found["true"].samples, found["true"].squares
    own = [
        np.sqrt(one.reshape(-1, 10).mean(1) - of_population * (1 - 1 / n)) for one, n in zip(means, sizes, strict=True)
    ]
    rows.append(Exponent("true, less the population's part", "N", -0.5, False, fit(sizes, own)))
    return rows


def run(size: Size, track: Track) -> Finding:
    """Signals and norms against N."""
    scale = SCALES[size]
    found = {labels: measure(scale, labels, track) for labels in get_args(Labels)}
    rows = exponents(scale, found)
    columns = ["N", *(f"{labels}: {what}" for labels in found for what in ("rms q", "exact"))]
    cells = []
    estimates = {labels: signals.root_mean_square() for labels, signals in found.items()}
    numbers: dict[str, Any] = {"dim": scale.dim, "exponents": [row.numbers() for row in rows], "signals": []}
    for i, n in enumerate(found["true"].samples):
        cells.append([str(n)])
        for labels in found:
            exact = np.sqrt(moment.mean_square_signal(scale.dim, n, labels))
            cells[-1] += [experiment.interval(*estimates[labels][i]), experiment.number(exact)]
            entry = {"samples": n, "labels": labels, "exact": float(exact), **estimates[labels][i]._asdict()}
            numbers["signals"].append({**entry, "norm": float(found[labels].norms[i].mean())})
    tables = [
        experiment.exponents(rows),
        experiment.table(f"Signal at initialisation, d = {scale.dim}", columns, cells),
    ]
    return Finding(tables, draw(scale, found, estimates), numbers)


def draw(scale: Scale, found: dict[Labels, Signals], estimates: dict[Labels, list[Estimate]]) -> Figure:
    """The signal and the norm against N."""
    figure, (signal, norm) = experiment.panels(1, 2)
    curve = np.geomspace(found["true"].samples[0], found["true"].samples[-1], 100)
    for labels, signals in found.items():
        look = {"color": COLORS[labels], "linestyle": "none"}
        experiment.points(signal, signals.samples, estimates[labels], f"{labels} labels", **look)
        exact = [np.sqrt(moment.mean_square_signal(scale.dim, n, labels)) for n in curve]
        signal.plot(curve, exact, color=COLORS[labels], linewidth=1.2)
        spread = [Estimate(*np.quantile(one, (0.5, 0.025, 0.975)).tolist()) for one in signals.norms]
        experiment.points(norm, signals.samples, spread, f"{labels} labels, 95 % of datasets", color=COLORS[labels])
        limit = bounds.spectral_norm(scale.dim, curve, 0.05, labels) - (labels == "true")
        norm.plot(curve, limit, color=COLORS[labels], linestyle="--", linewidth=1, label=f"bound, {labels} labels")
    level = np.sqrt(moment.mean_square_signal(scale.dim, np.inf))
    signal.axhline(level, color=GREY, linestyle=":", linewidth=1, label="population, about 2 / d")
    signal.plot([], [], color=GREY, linewidth=1.2, label="exact expectation")
    experiment.decorate(signal, f"Signal at initialisation, d = {scale.dim}", "N", "root mean square of q")
    experiment.decorate(norm, "Moment matrix", "N", "spectral norm of M^ - M")
    experiment.legend(signal)
    experiment.legend(norm)
    return figure
