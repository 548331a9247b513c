"""Sampling bias: the signal q of an output weight at initialisation, from a sample and from the population.

Source: Liu et al. 2026, section 4.2, lemma 1 and corollary 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from svl.results.bootstrap import RESAMPLES
from svl.results.statistics import HIGH, LOW, Estimate
from svl.results.style import GREY, RAMP
from svl.theory import bounds, experiment, moment, two_phase
from svl.theory.experiment import Exponent, Finding, Size, Track
from svl.theory.moment import Labels
from svl.theory.slope import fit

COLORS = {"true": RAMP(0.0), "random": RAMP(0.6)}


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        dim: d.
        sizes: number of N, from d / 8 to d^2 / 2.
        datasets: datasets for each N, a multiple of 10.
        neurons: neurons for each dataset.
    """

    dim: int
    sizes: int
    datasets: int
    neurons: int


SCALES = {"smoke": Scale(16, 4, 40, 4), "default": Scale(128, 11, 100, 16)}


@dataclass(frozen=True)
class Signals:
    """Signals and moment matrices with one kind of labels.

    Attributes:
        samples: every N.
        squares: mean of q^2 over the neurons of each dataset, for each N.
        norms: spectral norm of M^ - M (M = 0 for random labels), for each N.
    """

    samples: list[int]
    squares: list[Float[ndarray, "dataset"]]
    norms: list[Float[ndarray, "dataset"]]

    def root_mean_square(self) -> list[Estimate]:
        """Root mean square of q over neurons and datasets, with intervals from resampling datasets."""
        estimates = []
        for squares in self.squares:
            drawn = np.random.default_rng(0).choice(squares, (RESAMPLES, len(squares))).mean(1)
            estimates.append(Estimate(*np.sqrt([squares.mean(), *np.quantile(drawn, (LOW, HIGH))]).tolist()))
        return estimates


def measure(scale: Scale, labels: Labels, track: Track) -> Signals:
    """Signals of new neurons on new datasets, for each N."""
    generator = np.random.default_rng(4)
    samples = [round(n) for n in np.geomspace(scale.dim / 8, scale.dim**2 / 2, scale.sizes)]
    signals = Signals(samples, [], [])
    centre = moment.population(scale.dim) if labels == "true" else 0.0
    for count in track(samples, f"{labels} labels"):
        matrices = moment.empirical(generator, scale.dim, count, scale.datasets, labels)
        w, _ = two_phase.directions(generator, scale.dim, scale.datasets * scale.neurons, starts_well=False)
        w = w.reshape(scale.datasets, scale.neurons, scale.dim)
        signals.squares.append(np.square(((w @ matrices) * w).sum(-1)).mean(1))
        signals.norms.append(np.abs(np.linalg.eigvalsh(matrices - centre)).max(1))
    return signals


def exponents(scale: Scale, results: dict[Labels, Signals]) -> list[Exponent]:
    """Exponents in N: -1/2 with random labels, and with true labels after the population's part is subtracted."""
    rows = []
    for labels, signals in results.items():
        # Means over ten datasets, so that no logarithm is an outlier.
        means = [squares.reshape(len(squares) // 10, 10).mean(1) for squares in signals.squares]
        measured = fit(signals.samples, [np.sqrt(mean) for mean in means])
        rows.append(Exponent(f"rms q, {labels} labels", "N", -0.5, False, measured))
    of_population = moment.mean_square_signal(scale.dim, np.inf)
    # E[q^2] is the population's part times 1 - 1/N, plus the sample's part.
    sizes = results["true"].samples
    of_sample = [
        np.sqrt(squares.reshape(-1, 10).mean(1) - of_population * (1 - 1 / n))
        for squares, n in zip(results["true"].squares, sizes, strict=True)
    ]
    rows.append(Exponent("true, less the population's part", "N", -0.5, False, fit(sizes, of_sample)))
    return rows


def run(size: Size, track: Track) -> Finding:
    """Signals and norms against N."""
    scale = SCALES[size]
    results = {labels: measure(scale, labels, track) for labels in get_args(Labels)}
    rows = exponents(scale, results)
    columns = ["N", *(f"{labels}: {what}" for labels in results for what in ("rms q", "exact"))]
    cells = []
    estimates = {labels: signals.root_mean_square() for labels, signals in results.items()}
    numbers: dict[str, Any] = {"dim": scale.dim, "exponents": [row.numbers() for row in rows], "signals": []}
    for i, n in enumerate(results["true"].samples):
        cells.append([str(n)])
        for labels in results:
            exact = np.sqrt(moment.mean_square_signal(scale.dim, n, labels))
            cells[-1] += [experiment.interval(*estimates[labels][i]), experiment.number(exact)]
            entry = {"samples": n, "labels": labels, "exact": float(exact), **estimates[labels][i]._asdict()}
            numbers["signals"].append({**entry, "norm": float(results[labels].norms[i].mean())})
    tables = [
        experiment.exponents(rows),
        experiment.table(f"Signal at initialisation, d = {scale.dim}", columns, cells),
    ]
    return Finding(tables, draw(scale, results, estimates), numbers)


def draw(scale: Scale, results: dict[Labels, Signals], estimates: dict[Labels, list[Estimate]]) -> Figure:
    """The signal and the norm against N."""
    figure, (signal, norm) = experiment.panels(1, 2)
    curve = np.geomspace(results["true"].samples[0], results["true"].samples[-1], 100)
    for labels, signals in results.items():
        look = {"color": COLORS[labels], "linestyle": "none"}
        experiment.points(signal, signals.samples, estimates[labels], f"{labels} labels", **look)
        exact = [np.sqrt(moment.mean_square_signal(scale.dim, n, labels)) for n in curve]
        signal.plot(curve, exact, color=COLORS[labels], linewidth=1.2)
        spread = [Estimate(*np.quantile(norms, (0.5, 0.025, 0.975)).tolist()) for norms in signals.norms]
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
