"""Linear regression has no gap in steps: neither epochs nor full batches of a sample train faster than fresh data.

Source: Liu et al. 2026, section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from svl.results.statistics import HIGH, LOW, Estimate
from svl.results.style import RAMP
from svl.theory import experiment, regression
from svl.theory.experiment import Finding, Size, Track
from svl.theory.regression import Problem
from svl.theory.reuse_rate import RESAMPLES, OnePass, Setting, one_pass_curve

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
NOISE = 1.0


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        dim: d.
        exponent: exponent of the spectrum.
        samples: every N.
        sets: number of sets of inputs for each N.
        rates: number of learning rates.
        targets: number of target risks.
    """

    dim: int
    exponent: float
    samples: tuple[int, ...]
    sets: int
    rates: int
    targets: int


SCALES = {
    "smoke": Scale(6, 1.0, (32, 128), 8, 16, 4),
    "default": Scale(16, 1.0, (64, 256, 1024, 4096), 24, 36, 6),
}


@dataclass(frozen=True)
class Arm:
    """Steps to each target risk at the best rate, and their ratio to those with the large data.

    Attributes:
        samples: N.
        steps: steps to each target; infinite if it is never reached.
        ratio: steps divided by those with fresh data or the population, with intervals from resampling sets.
        curve: risk at the best rate against steps, for the figure.
    """

    samples: int
    steps: Float[ndarray, "target"]
    ratio: list[Estimate]
    curve: tuple[Float[ndarray, "step"], Float[ndarray, "step"]]


def first_below(
    steps: Float[ndarray, "step"], risk: Float[ndarray, "*stack step"], targets: Float[ndarray, "target"]
) -> Float[ndarray, "*stack target"]:
    """Steps at which the smallest risk so far reaches each target, interpolated between the logarithms of steps."""
    log_risk, log_steps = np.log(np.minimum.accumulate(risk, axis=-1)), np.log(steps)

    def crossing(curve: Float[ndarray, "step"]) -> Float[ndarray, "target"]:
        crossed = np.exp(np.interp(np.log(targets), curve[::-1], log_steps[::-1]))
        return np.where(np.log(targets) < curve[-1], np.inf, crossed)

    return np.apply_along_axis(crossing, -1, log_risk)


def sgd(scale: Scale, targets: Float[ndarray, "target"], track: Track, seed: int = 0) -> tuple[list[Arm], OnePass]:
    """Epochs over N examples, one example a step, compared with fresh examples."""
    problem, generator = Problem.power_law(scale.dim, scale.exponent, NOISE), experiment.generator(10, seed)
    fresh, arms = one_pass_curve(problem, COUNTS[-1] * scale.samples[-1]), []
    setting = Setting("", problem, scale.samples, scale.sets, scale.rates)
    for samples in track(scale.samples, "epochs"):
        sets = int(np.clip(2**15 // samples, 8, scale.sets))
        rates = setting.grid(samples)
        single = regression.epoch(problem, rates, problem.inputs(generator, sets, samples))
        risks = regression.epochs(problem, single, COUNTS)
        fresh_steps = fresh.examples(targets)
        arm = _arm(samples, np.array(COUNTS) * float(samples), risks, targets, fresh_steps)
        # In its first epoch a sample is fresh data.
        seen = fresh_steps <= samples
        ratio = [Estimate(1.0, 1.0, 1.0) if same else estimate for same, estimate in zip(seen, arm.ratio, strict=True)]
        arms.append(replace(arm, steps=np.where(seen, fresh_steps, arm.steps), ratio=ratio))
    return arms, fresh


def full_batch(
    scale: Scale, targets: Float[ndarray, "target"], track: Track, seed: int = 0
) -> tuple[list[Arm], OnePass]:
    """Gradient descent on N > d examples, compared with gradient descent on the population."""
    problem, generator = Problem.power_law(scale.dim, scale.exponent, NOISE), experiment.generator(11, seed)
    steps = np.unique(np.geomspace(1, 3000, 120).round())
    rates = np.geomspace(0.05, 2, 3 * scale.rates) / problem.spectrum[0]
    whole = np.einsum("d,rsd->rs", problem.spectrum, _shrunk(rates, steps, problem.spectrum) ** 2)
    population, arms = OnePass(steps, np.minimum.accumulate(np.maximum(whole.min(0), 1e-12))), []
    for samples in track(scale.samples, "full batches"):
        x = problem.inputs(generator, scale.sets, samples)
        values, vectors = np.linalg.eigh(np.einsum("snd,sne->sde", x, x) / samples)
        seen = np.einsum("d,sde->se", problem.spectrum, np.square(vectors))
        risks = []
        for eigenvalues, weight in zip(values, seen, strict=True):
            left = _shrunk(rates, steps, eigenvalues)
            learned = np.square(1 - left) / eigenvalues
            risks.append(np.einsum("d,rsd->rs", weight, np.square(left) + NOISE / samples * learned))
        population_steps = first_below(steps, population.risk, targets)
        # At the rate where oscillation begins, the risk has an edge, which a parabola does not fit.
        arms.append(_arm(samples, steps, np.array(risks), targets, population_steps, lambda risk: risk.min(-2)))
    return arms, population


def _shrunk(
    rates: Float[ndarray, "rate"], steps: Float[ndarray, "step"], eigenvalues: Float[ndarray, "dim"]
) -> Float[ndarray, "rate step dim"]:
    """(1 - eta s)^t: the fraction of the error along an eigenvector that remains after t steps."""
    # Rates at which it grows are never the best, so a large factor may be clipped.
    factor = np.clip(1 - rates[:, None] * eigenvalues, -1.01, None)
    return factor[:, None] ** steps[:, None]


def _arm(
    samples: int,
    steps: Float[ndarray, "step"],
    risks: Float[ndarray, "set rate step"],
    targets: Float[ndarray, "target"],
    large: Float[ndarray, "target"],
    best: Callable[[Float[ndarray, "*stack rate step"]], Float[ndarray, "*stack step"]] = regression.tuned,
) -> Arm:
    """The arm at the rate that has the smallest mean risk over sets at each step."""
    generator = np.random.default_rng(0)
    weights = generator.multinomial(len(risks), np.full(len(risks), 1 / len(risks)), RESAMPLES) / len(risks)
    finite = np.where(np.isfinite(risks), np.minimum(risks, 1e100), 1e100)
    tuned = best(finite.mean(0))
    reached = first_below(steps, tuned, targets)
    resampled = first_below(steps, best(np.einsum("bs,srt->brt", weights, finite)), targets) / large
    low, high = np.quantile(resampled, (LOW, HIGH), axis=0, method="nearest")
    ratio = [Estimate(*map(float, values)) for values in zip(reached / large, low, high, strict=True)]
    return Arm(samples, reached, ratio, (steps, np.minimum.accumulate(tuned)))


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """Steps to each target risk, with epochs and with full batches."""
    scale = SCALES[size]
    start = float(Problem.power_law(scale.dim, scale.exponent).spectrum.sum())
    targets = np.geomspace(start / 4, start / 100, scale.targets)
    results = {
        "epochs, one example a step": sgd(scale, targets, track, seed),
        "full batch": full_batch(scale, targets, track, seed),
    }
    tables, numbers = [], []
    for name, (arms, large) in results.items():
        large_steps = large.examples(targets)
        columns = ["risk", f"{'fresh' if arms is results['epochs, one example a step'][0] else 'population'}: steps"]
        columns += [f"N = {arm.samples}" for arm in arms]
        rows = [
            [
                experiment.number(target),
                experiment.number(float(large_steps[i])),
                *(_cell(arm.ratio[i]) for arm in arms),
            ]
            for i, target in enumerate(targets)
        ]
        reached = [arm.ratio[i].value for arm in arms for i in range(len(targets)) if np.isfinite(arm.steps[i])]
        caption = f"best rate for each; the smallest ratio is {experiment.number(min(reached))}"
        tables.append(experiment.table(f"{name}: steps over those of the large data", columns, rows, caption))
        for arm in arms:
            for i, target in enumerate(targets):
                value = [x if np.isfinite(x) else None for x in (arm.steps[i], *arm.ratio[i])]
                row: dict[str, Any] = {
                    "way": name,
                    "samples": arm.samples,
                    "risk": float(target),
                    "large": float(large_steps[i]),
                }
                numbers.append({**row, **dict(zip(("steps", "ratio", "low", "high"), value, strict=True))})
    return Finding(tables, draw(results), {"dim": scale.dim, "exponent": scale.exponent, "steps": numbers})


def _cell(ratio: Estimate) -> str:
    return experiment.interval(*ratio) if np.isfinite(ratio.value) else "never"


def draw(results: dict[str, tuple[list[Arm], OnePass]]) -> Figure:
    """Risk at the best rate against steps: a line for each N, and one for the large data, which is below the others."""
    figure, axes = experiment.panels(1, 2)
    for panel, (name, (arms, large)) in zip(axes, results.items(), strict=True):
        for place, arm in enumerate(arms):
            panel.plot(*arm.curve, color=RAMP(place / len(arms)), linewidth=1.4, label=f"N = {arm.samples}")
        label = "population" if name == "full batch" else "fresh data"
        shown = large.samples <= max(arm.curve[0][-1] for arm in arms)
        panel.plot(large.samples[shown], large.risk[shown], color=RAMP(1.0), linewidth=2, linestyle="--", label=label)
        panel.set_ylim(max(arms[-1].curve[1].min() / 2, 1e-4))
        experiment.decorate(panel, name.capitalize(), "steps", "excess risk at the best rate")
        experiment.legend(panel)
    return figure
