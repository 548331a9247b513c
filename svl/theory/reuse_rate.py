"""The effective reuse rate E(K, N) of SGD on linear regression, isotropic and with a power-law spectrum.

E(K, N) N fresh examples, seen once, reach the risk of K epochs over N examples; the rate is tuned for each (K, N) and
each one-pass length. Source: Yan et al. 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from svl.results.statistics import HIGH, LOW, Estimate
from svl.results.style import GREY, RAMP
from svl.theory import experiment, regression
from svl.theory.experiment import Finding, Size, Track
from svl.theory.regression import Problem

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""K."""
RESAMPLES = 400


@dataclass(frozen=True)
class Setting:
    """A problem and the size of its experiment.

    Attributes:
        name: name of the spectrum.
        problem: spectrum and noise.
        samples: every N.
        sets: largest number of sets of inputs; fewer if N is large.
        rates: number of learning rates.
    """

    name: str
    problem: Problem
    samples: tuple[int, ...]
    sets: int
    rates: int

    def grid(self, samples: int) -> Float[ndarray, "rate"]:
        """Rates from twice the best for one pass down to half of it divided by the largest K.

        Smaller rates are never the best, because even the most epochs would be too few for them.
        """
        rates = _rates(self.problem, samples)
        best = rates[regression.one_pass(self.problem, rates, np.array([float(samples)])).argmin()]
        return np.geomspace(best / COUNTS[-1] / 2, min(2 * best, rates[-1]), self.rates)


def settings(size: Size) -> list[Setting]:
    """The two settings: an isotropic spectrum and a power law."""
    isotropic, power = Problem.power_law(8, 0.0), Problem.power_law(32, 1.5)
    if size == "smoke":
        small = Problem.power_law(12, 1.5)
        return [Setting("isotropic", isotropic, (32, 64, 128), 6, 12), Setting("power law", small, (32, 64), 6, 12)]
    return [
        Setting("isotropic", isotropic, (32, 128, 512, 2048, 8192, 32768), 64, 48),
        Setting("power law", power, (64, 256, 1024, 4096), 16, 32),
    ]


class OnePass(NamedTuple):
    """Expected risk of one pass at the best rate, against the number of examples."""

    samples: Float[ndarray, "size"]
    risk: Float[ndarray, "size"]

    def examples(self, risk: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """The number of examples that one pass needs to reach a risk."""
        falling = np.log(self.risk)[::-1]
        return np.exp(np.interp(np.log(risk), falling, np.log(self.samples)[::-1]))


def one_pass_curve(problem: Problem, most: float) -> OnePass:
    """The exact curve from 1 to ``most`` examples, on grids of rates and lengths fine enough to be converged."""
    samples = np.geomspace(1, most, 400)
    risks = regression.one_pass(problem, _rates(problem, most), samples)
    return OnePass(samples, np.minimum.accumulate(regression.tuned(risks)))


def _rates(problem: Problem, most: float) -> Float[ndarray, "rate"]:
    """A grid of all rates that can be the best for one pass over 1 to ``most`` examples."""
    largest = 1 / problem.spectrum.sum()
    return np.geomspace(largest / most, largest, 300)


class Curve(NamedTuple):
    """E(K, N) of one N.

    Attributes:
        samples: N.
        reuse: an estimate for each K, from fixed orders.
        resampled: the same for each resample of the sets.
        least_squares: E of the least-squares solution, the limit K -> infinity at a small rate.
        simulated: E of runs whose order is new in every epoch, and their K; None where these would take too long.
    """

    samples: int
    reuse: list[Estimate]
    resampled: Float[ndarray, "resample count"]
    least_squares: float
    simulated: list[Estimate] | None


def reuse(risks: Float[ndarray, "set rate count"], curve: OnePass, samples: int) -> tuple[list[Estimate], ndarray]:
    """E(K, N) for each K of the mean risk, with intervals from resampling sets; and E of the resamples."""
    generator = np.random.default_rng(0)
    weights = generator.multinomial(len(risks), np.full(len(risks), 1 / len(risks)), RESAMPLES) / len(risks)
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(risks), risks, 1e300)
        means = np.einsum("bs,src->brc", weights, finite)
    resampled = curve.examples(regression.tuned(means)) / samples
    value = curve.examples(regression.tuned(finite.mean(0))) / samples
    low, high = np.quantile(resampled, (LOW, HIGH), axis=0)
    return [Estimate(*map(float, values)) for values in zip(value, low, high, strict=True)], resampled


SIMULATED = tuple(count for count in COUNTS if count <= 32)


def measure(setting: Setting, size: Size, track: Track, seed: int = 0) -> list[Curve]:
    """E(K, N) for every N and K of a setting."""
    generator, curves = experiment.generator(9, seed), []
    problem = setting.problem
    curve = one_pass_curve(problem, 64 * setting.samples[-1])
    for samples in track(setting.samples, f"{setting.name}: epochs"):
        sets, rates = int(np.clip(2**16 // samples, 8, setting.sets)), setting.grid(samples)
        single = regression.epoch(problem, rates, problem.inputs(generator, sets, samples))
        estimates, resampled = reuse(regression.epochs(problem, single, COUNTS), curve, samples)
        simulated = None
        if samples <= (64 if size == "smoke" else 512):
            counts = SIMULATED if size == "default" else SIMULATED[:4]
            runs = regression.simulate(generator, problem, rates[::2], samples, counts, 12 * setting.sets)
            simulated, _ = reuse(runs, curve, samples)
        least = float(curve.examples(np.array([problem.least_squares(samples)]))[0]) / samples
        curves.append(Curve(samples, estimates, resampled, least, simulated))
    return curves


class Plateau(NamedTuple):
    """E at the largest K against log N: slope, with its interval, and intercept of the least-squares line."""

    slope: Estimate
    intercept: float


def plateau(curves: list[Curve]) -> Plateau:
    """The growth of the plateau with log N; the interval comes from resampling the sets of every N."""
    log = np.log([curve.samples for curve in curves])
    weights = (log - log.mean()) / np.square(log - log.mean()).sum()
    value = np.array([curve.reuse[-1].value for curve in curves])
    slopes = np.stack([curve.resampled[:, -1] for curve in curves], axis=1) @ weights
    low, high = np.quantile(slopes, (LOW, HIGH))
    slope = float(weights @ value)
    return Plateau(Estimate(slope, float(low), float(high)), float(value.mean() - slope * log.mean()))


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """E(K, N) for few and for many epochs, and the plateau."""
    chosen = settings(size)
    results = {setting.name: measure(setting, size, track, seed) for setting in chosen}
    plateaus = {name: plateau(curves) for name, curves in results.items()}
    tables = []
    for setting in chosen:
        shown = [place for place, count in enumerate(COUNTS) if count in (2, 4, 16, COUNTS[-1])]
        columns = ["N", "log N", *(f"K = {COUNTS[place]}" for place in shown), "least squares"]
        rows = [
            [
                str(curve.samples),
                experiment.number(float(np.log(curve.samples))),
                *(experiment.interval(*curve.reuse[place]) for place in shown),
                experiment.number(curve.least_squares),
            ]
            for curve in results[setting.name]
        ]
        slope = experiment.interval(*plateaus[setting.name].slope)
        caption = f"plateau (K = {COUNTS[-1]}): {slope} more for each unit of log N"
        dim = len(setting.problem.spectrum)
        tables.append(experiment.table(f"E(K, N), {setting.name}, d = {dim}", columns, rows, caption))
    numbers: dict[str, Any] = {"epochs": list(COUNTS), "curves": [], "plateaus": {}}
    for name, curves in results.items():
        numbers["plateaus"][name] = {"intercept": plateaus[name].intercept, **plateaus[name].slope._asdict()}
        for curve in curves:
            entry = {"spectrum": name, "samples": curve.samples, "least_squares": curve.least_squares}
            entry["reuse"] = [estimate._asdict() for estimate in curve.reuse]
            entry["reshuffled"] = (
                None if curve.simulated is None else [estimate._asdict() for estimate in curve.simulated]
            )
            numbers["curves"].append(entry)
    return Finding(tables, draw(results, plateaus), numbers)


def draw(results: dict[str, list[Curve]], plateaus: dict[str, Plateau]) -> Figure:
    """E against K for both spectra, E / K against N at small K, and the plateau against log N."""
    figure, axes = experiment.panels(2, 2)
    for panel, (name, curves) in zip(axes, results.items(), strict=False):
        for place, curve in enumerate(curves):
            color = RAMP(place / max(1, len(curves) - 1))
            look = {"color": color, "markersize": 3}
            experiment.points(panel, COUNTS, curve.reuse, f"N = {curve.samples}", **look)
            if curve.simulated is not None:
                look = {"color": color, "linestyle": "none", "marker": "s", "fillstyle": "none", "markersize": 5}
                experiment.points(panel, COUNTS[: len(curve.simulated)], curve.simulated, "", **look)
        panel.plot(COUNTS[:5], COUNTS[:5], color=GREY, linestyle="--", linewidth=1, label="E = K")
        panel.plot([], [], color=GREY, linestyle="none", marker="s", fillstyle="none", label="simulated, new orders")
        experiment.decorate(panel, f"Effective reuse rate, {name}", "epochs K", "E(K, N)")
        experiment.legend(panel)
    linear, level = axes[2:]
    for place, (name, curves) in enumerate(results.items()):
        samples, color = [curve.samples for curve in curves], RAMP(0.0 if place == 0 else 1.0)
        for count, style in ((2, "-"), (4, "--"), (8, ":")):
            ratios = [Estimate(*(part / count for part in curve.reuse[COUNTS.index(count)])) for curve in curves]
            experiment.points(linear, samples, ratios, f"{name}, K = {count}", color=color, linestyle=style)
        experiment.points(level, samples, [curve.reuse[-1] for curve in curves], name, color=color, linestyle="none")
        fitted = plateaus[name].intercept + plateaus[name].slope.value * np.log(samples)
        slope = experiment.interval(*plateaus[name].slope)
        level.plot(samples, fitted, color=color, linewidth=1, label=f"slope {slope}")
        known = [i for i, curve in enumerate(curves) if 0 < curve.least_squares < curve.reuse[-1].value * 2]
        least = [curves[i].least_squares for i in known]
        level.plot([samples[i] for i in known], least, color=color, linewidth=1, linestyle=":")
    level.plot([], [], color=GREY, linewidth=1, linestyle=":", label="of least squares")
    linear.axhline(1, color=GREY, linewidth=1, linestyle="--")
    experiment.decorate(linear, "Few epochs", "N", "E(K, N) / K", "x")
    experiment.decorate(level, f"Plateau, K = {COUNTS[-1]}", "N", "E(K, N)", "x")
    experiment.legend(linear)
    experiment.legend(level)
    return figure
