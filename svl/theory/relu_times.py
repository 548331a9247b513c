"""Measured times of ReLU networks with the logistic loss on 2-sparse parity, in phase 1 and in both phases.

Both layers are trained, on N examples until the norm of the second layer is a*, then on all 2^d inputs; or on these
alone. Times are eta T, with rates at which they hardly depend on eta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from svl.results import statistics
from svl.results.statistics import Estimate
from svl.theory import experiment, relu_network
from svl.theory.experiment import Track
from svl.theory.relu_network import Network, grown, learned
from svl.theory.slope import Slope, geometric_mean

Times = Float[ndarray, "replica"]
RATE = 0.1
"""eta of phase 2; phase 1 has a smaller rate where it would take few steps."""
SMALL = 1e-3
"""s, the size of the second layer at initialisation."""
TARGETS = (0.03, 0.1, 0.3, 1.0)
LONGEST = (60.0, 200.0)
"""Limits of the times eta T of phase 1 and of phase 2; a replica that does not end counts with the limit."""


def goal(width: int) -> float:
    """The population's loss at the end: half way from that of f = 0 to the smallest that the network can have.

    One neuron can be right on the three quarters of the inputs that have equal outputs, at best with the loss
    (3/4) (log 3 - (2/3) log 2) = 0.477: it separates one quarter, and is constant on the others. More neurons reach 0.
    """
    least = 0.75 * (np.log(3) - 2 / 3 * np.log(2)) if width == 1 else 0.0
    return float((np.log(2) + least) / 2)


def mean_square_signal(dim: int, samples: float) -> float:
    """E[q^2] of the signal q = E[y relu(w . x)] of an output weight, for w uniform on the unit sphere and large d.

    The square of relu(w . x) has the mean 1/2, and the population's q is E[relu''(g)] w_1 w_2 = w_1 w_2 / sqrt(2 pi)
    for a normal g (sums of few signs have a larger one). So the sample's part is as large as the population's at
    N = pi d (d + 2), about four times later than for the quadratic neuron.
    """
    population = 0.5 / of_population(dim)
    return population + (0.5 - population) / samples


def of_population(dim: int) -> float:
    """The N at which the population's part of E[q^2] is as large as the sample's: pi d (d + 2)."""
    return float(np.pi * dim * (dim + 2))


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        widths: every m.
        dim: d of the times of phase 1 alone.
        sizes: number of N for these, from d / 2 to 16 d^2.
        first: replicas for these, divided by m^(1/2).
        dims: every d of both phases.
        largest: one more d, with one a*.
        replicas: replicas for both phases.
    """

    widths: tuple[int, ...]
    dim: int
    sizes: int
    first: int
    dims: tuple[int, ...]
    largest: int
    replicas: int


SCALES = {
    "smoke": Scale((1, 8), 6, 4, 16, (4, 5), 6, 6),
    "default": Scale((1, 8, 64), 16, 9, 96, (8, 10, 12), 14, 12),
}


class First(NamedTuple):
    """Phase 1 alone, to one a*: time eta T_1 for each N, and which replicas reached a*."""

    width: int
    target: float
    samples: list[int]
    times: list[Times]
    reached: list[Bool[ndarray, "replica"]]


class Both(NamedTuple):
    """Both phases at one (m, d, N, a*), or the population alone, for which N and a* are None.

    Attributes:
        width, dim, samples, target: m, d, N and a*.
        first: time eta T_1.
        total: time eta (T_1 + T_2).
        ended: whether both phases ended within their limits.
    """

    width: int
    dim: int
    samples: int | None
    target: float | None
    first: Times
    total: Times
    ended: Bool[ndarray, "replica"]


class Smaller(NamedTuple):
    """The population alone for one m: every 1 / s, and the times eta T."""

    width: int
    inverse: list[float]
    times: list[Times]


def first_rate(width: int, dim: int, samples: int, target: float) -> float:
    """A rate at which phase 1 takes about 40 steps, while the second layer grows linearly."""
    return min(RATE, target / (20 * float(np.sqrt(width * mean_square_signal(dim, samples)))))


def grow(
    generator: np.random.Generator, network: Network, samples: int, target: float
) -> tuple[Times, Bool[ndarray, "replica"], Network]:
    """Phase 1 on new data for each replica: time eta T_1, whether it reached a*, and the networks after it."""
    replicas, width, dim = network.inner.shape
    rate = first_rate(width, dim - 1, samples, target)
    data = relu_network.samples(generator, dim - 1, samples, replicas)
    done = relu_network.train(network, data, rate, grown(target), int(min(LONGEST[0] / rate, 8000)))
    return rate * done.steps, done.ended, done.network


def finish(network: Network) -> tuple[Times, Bool[ndarray, "replica"]]:
    """Phase 2, on the population: time eta T_2, and whether it ended."""
    _, width, dim = network.inner.shape
    data = relu_network.population(dim - 1)
    done = relu_network.train(network, data, RATE, learned(goal(width)), round(LONGEST[1] / RATE))
    return RATE * done.steps, done.ended


def first_phases(scale: Scale, track: Track, seed: int = 0) -> list[First]:
    """Phase 1 alone, to a small and a larger a*, for every m."""
    generator, results = experiment.generator(21, seed), []
    samples = [round(n) for n in np.geomspace(scale.dim / 2, 16 * scale.dim**2, scale.sizes)]
    for width in track(scale.widths, "phase 1"):
        replicas = max(8, round(scale.first / np.sqrt(width)))
        for target in (TARGETS[0], TARGETS[2]):
            result = First(width, target, samples, [], [])
            for count in samples:
                network = relu_network.initial(generator, scale.dim, width, replicas, SMALL)
                times, reached, _ = grow(generator, network, count, target)
                result.times.append(times)
                result.reached.append(reached)
            results.append(result)
    return results


def both_phases(scale: Scale, track: Track, seed: int = 0) -> list[Both]:
    """Both phases and the population alone, from the same initial networks, for every m, d, N and a*."""
    generator, results = experiment.generator(22, seed), []
    grid = [(width, dim) for width in scale.widths for dim in (*scale.dims, scale.largest)]
    for width, dim in track(grid, "both phases"):
        network = relu_network.initial(generator, dim, width, scale.replicas, SMALL)
        alone, ended = finish(network)
        results.append(Both(width, dim, None, None, 0 * alone, alone, ended))
        for target in TARGETS if dim in scale.dims else (TARGETS[2],):
            for samples in (dim, round(dim**1.5), dim**2):
                first, reached, after = grow(generator, network, samples, target)
                second, ended = finish(after)
                results.append(Both(width, dim, samples, target, first, first + second, reached & ended))
    return results


def from_smaller(scale: Scale, track: Track, seed: int = 0) -> list[Smaller]:
    """The population alone from second layers of several sizes s, in the smallest d, for every m."""
    generator, results = experiment.generator(23, seed), []
    sizes = [1e-2, 1e-3, 1e-4, 1e-5]
    for width in track(scale.widths, "sizes at initialisation"):
        networks = [relu_network.initial(generator, scale.dims[0], width, 2 * scale.replicas, s) for s in sizes]
        results.append(Smaller(width, [1 / s for s in sizes], [finish(network)[0] for network in networks]))
    return results


def saving(results: list[Both], row: Both) -> Estimate:
    """Time with the population alone over the time of both phases: above 1 two phases are faster.

    It is the geometric mean of the ratios of replicas, which begin with the same weights.
    """
    (alone,) = [r for r in results if r.target is None and (r.width, r.dim) == (row.width, row.dim)]
    return geometric_mean(alone.total / row.total)


def paired_slope(x: list[int], times: list[Times]) -> Slope:
    """The exponent of times in x where replicas begin with the same weights at every x: the mean of their slopes."""
    log = np.log(np.asarray(x, float))
    centred = log - log.mean()
    slopes = centred @ np.log(np.stack(times)) / np.square(centred).sum()
    return Slope(statistics.mean(slopes), float(np.ptp(log) / np.log(10)))
