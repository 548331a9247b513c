"""Measured times of two-phase training, of phase 1 alone, and of training on the population alone.

Source: Liu et al. 2026, section 4.2 and appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from svl.theory import bounds, experiment, two_phase
from svl.theory.experiment import Bound, Exponent, Track
from svl.theory.moment import SUPPORT, Labels
from svl.theory.neuron import POPULATION, aligned, descend, held_steps
from svl.theory.slope import fit
from svl.theory.two_phase import Grown, Start

EPSILON, DELTA, RATE = 0.01, 0.05, 0.05
LARGE = 0.3
"""An a* so large that the direction changes in phase 1."""
WIDTH = 1e12
"""A width m so large that the initial a does not matter."""

Times = Float[ndarray, "replica"]


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        dims: every d.
        sizes: number of N for each d, from d to d^2.
        replicas: replicas for each (d, N).
        targets: number of a*.
        widths: number of m.
    """

    dims: tuple[int, ...]
    sizes: int
    replicas: int
    targets: int
    widths: int

    def samples(self, dim: int) -> list[int]:
        """Every N, from d to d^2."""
        return [round(dim**power) for power in np.linspace(1, 2, self.sizes)]


SCALES = {"smoke": Scale((8, 16), 3, 12, 3, 3), "default": Scale((16, 32, 64, 128), 6, 48, 9, 7)}


@dataclass(frozen=True)
class Point:
    """The measurements at one (d, N).

    Attributes:
        start: neurons and data at initialisation.
        resolved: phase 1 to the theorem's a*, at so small a rate that it takes many steps.
        targets: every a*; the first is the theorem's.
        grown: phase 1 to each a*, at the common rate.
        free: steps of phase 2 after each of them, with both weights trained.
    """

    start: Start
    resolved: Grown
    targets: list[float]
    grown: list[Grown]
    free: list[Times]

    @property
    def held(self) -> Times:
        """Time eta (T_1 + T_2) at the theorem's a*, with a held fixed in phase 2."""
        return self.resolved.rate * (self.resolved.steps + self.resolved.held(EPSILON))

    def totals(self, held: bool) -> list[Times]:
        """Times eta (T_1 + T_2) at each a*."""
        second = [phase.held(EPSILON) for phase in self.grown] if held else self.free
        return [RATE * (phase.steps + t) for phase, t in zip(self.grown, second, strict=True)]

    def best(self, held: bool) -> tuple[float, Times]:
        """The a* with the shortest time on one half of the replicas, and eta (T_1 + T_2) of the other half."""
        totals = self.totals(held)
        chosen = int(np.argmin([np.log(total[::2]).mean() for total in totals]))
        return self.targets[chosen], totals[chosen][1::2]


def theorem_target(dim: int, samples: int, labels: Labels) -> float:
    """The theorem's a*, from the bound B on the norm of the moment matrix.

    With true labels B is taken at N = d, where it is largest, which gives the order (N d)^(-1/4) log(d / delta)^(-1/2)
    of theorem 1. With random labels B is taken at N, which gives the order d^(-1/2) of corollary 2.
    """
    return float(bounds.threshold(dim, samples, RATE, norm_bound(dim, samples, labels), labels))


def norm_bound(dim: int, samples: int, labels: Labels) -> float:
    """The bound B that :func:`theorem_target` uses."""
    return float(bounds.spectral_norm(dim, dim if labels == "true" else samples, DELTA, labels))


def measure(scale: Scale, labels: Labels, track: Track, seed: int = 0) -> list[Point]:
    """The measurements at every (d, N), from N = d to d^2."""
    generator, measured = experiment.generator(1, seed), []
    grid = [(dim, samples) for dim in scale.dims for samples in scale.samples(dim)]
    for dim, samples in track(grid, f"both phases, {labels} labels"):
        start = two_phase.start(generator, dim, samples, scale.replicas, labels)
        a = two_phase.outer_weights(generator, start, WIDTH)
        targets = [theorem_target(dim, samples, labels), *np.geomspace(0.01, 0.9, scale.targets - 1).tolist()]
        grown = [two_phase.grow(start.basis, a, target, RATE) for target in targets]
        free = [phase.free(EPSILON).astype(float) for phase in grown]
        resolved = two_phase.grow(start.basis, a, targets[0], slow(targets[0], samples))
        measured.append(Point(start, resolved, targets, grown, free))
    return measured


def slow(target: float, samples: int) -> float:
    """A rate at which phase 1 takes dozens of steps, so that rounding to whole steps does not matter."""
    return min(RATE, target * float(np.sqrt(samples)) / 40)


@dataclass(frozen=True)
class FirstPhase:
    """Phase 1 alone, to one a* in one dimension, including N below d."""

    dim: int
    target: float
    samples: list[int]
    grown: list[Grown]

    @property
    def times(self) -> list[Times]:
        """Times eta T_1 / a* for each N."""
        return [phase.rate * phase.steps / self.target for phase in self.grown]


def first_phase(scale: Scale, labels: Labels, track: Track, seed: int = 0) -> list[FirstPhase]:
    """Phase 1 to the smallest a* of the theorem and to a large a*, in the largest dimension."""
    generator, dim = experiment.generator(3, seed), scale.dims[-1]
    samples = [round(n) for n in np.geomspace(dim / 20, dim**2, 2 * scale.sizes - 1)]
    targets = (theorem_target(dim, dim**2, "true"), LARGE)
    by_target: list[list[Grown]] = [[], []]
    for count in track(samples, f"phase 1, {labels} labels"):
        start = two_phase.start(generator, dim, count, 3 * scale.replicas, labels)
        a = two_phase.outer_weights(generator, start, WIDTH)
        for grown, target in zip(by_target, targets, strict=True):
            grown.append(two_phase.grow(start.basis, a, target, slow(target, count)))
    return [FirstPhase(dim, target, samples, grown) for target, grown in zip(targets, by_target, strict=True)]


@dataclass(frozen=True)
class Alone:
    """Training on the population alone from a ~ N(0, 1/m).

    Attributes:
        dim: d.
        widths: every m.
        held: steps with a held fixed, for each m.
        free: steps with both weights trained.
        bound: lemma 6's bound.
    """

    dim: int
    widths: list[float]
    held: list[Times]
    free: list[Times]
    bound: list[Times]

    def exponents(self) -> list[Exponent]:
        """Exponents of the steps in m."""
        return [
            Exponent("population alone, a held", "m", 0.5, False, fit(self.widths, self.held)),
            Exponent("population alone, a free", "m", 0.5, True, fit(self.widths, self.free)),
        ]

    def bounds(self) -> list[Bound]:
        """Steps divided by lemma 6's bound."""
        limit = np.concatenate(self.bound)
        times = {"held": self.held, "free": self.free}
        return [Bound(f"population alone, a {name}", np.concatenate(t) / limit) for name, t in times.items()]


def population_alone(scale: Scale, seed: int = 0) -> Alone:
    """Training on the population alone for widths from d^(3/2) to d^4, of neurons with sign a = sign q."""
    generator, dim = experiment.generator(2, seed), scale.dims[-1]
    result = Alone(dim, np.geomspace(dim**1.5, dim**4, scale.widths).tolist(), [], [], [])
    for width in result.widths:
        w, _ = two_phase.directions(generator, dim, 4 * scale.replicas, starts_well=True)
        along = w[:, :2] @ SUPPORT
        three = np.concatenate([along, np.sqrt(1 - np.square(along).sum(1, keepdims=True))], axis=1)
        a = np.sign(w[:, 0] * w[:, 1]) * np.abs(generator.standard_normal(len(w))) / np.sqrt(width)
        result.held.append(held_steps(a, three, RATE, EPSILON))
        result.free.append(descend(a, three, POPULATION, RATE, aligned(EPSILON)).steps.astype(float))
        result.bound.append(np.asarray(bounds.phase_2(a, np.where(a > 0, along[:, 0], along[:, 1]), EPSILON, RATE)))
    return result
