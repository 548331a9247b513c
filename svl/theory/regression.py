"""The expected excess risk of SGD on linear regression as a recursion, one example a step.

x ~ N(0, diag(lambda)), y = <w, x> + N(0, sigma^2), w ~ N(0, I); v starts at 0 and moves by eta (y - <v, x>) x. The risk
is sum_i lambda_i (v_i - w_i)^2. The task is :class:`~svl.tasks.LinearRegression`; the squared loss of a fit has twice
this gradient, so its ``lr`` is eta / 2. Source: Yan et al. 2025.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Problem(NamedTuple):
    """The spectrum lambda of the inputs and the variance sigma^2 of the label noise."""

    spectrum: Float[ndarray, "dim"]
    noise: float

    @classmethod
    def power_law(cls, dim: int, exponent: float, noise: float = 1.0) -> Problem:
        """With lambda_i = i^-exponent; exponent 0 is the isotropic case."""
        return cls(np.arange(1, dim + 1.0) ** -exponent, noise)

    def inputs(self, generator: np.random.Generator, *shape: int) -> Float[ndarray, "*shape dim"]:
        """Draws of x."""
        return generator.standard_normal((*shape, len(self.spectrum))) * np.sqrt(self.spectrum)

    def least_squares(self, samples: int) -> float:
        """Expected risk of least squares, sigma^2 d / (N - d - 1); infinite for N <= d + 1."""
        spare = samples - len(self.spectrum) - 1
        return self.noise * len(self.spectrum) / spare if spare > 0 else np.inf


def one_pass(
    problem: Problem, rates: Float[ndarray, "rate"], samples: Float[ndarray, "size"]
) -> Float[ndarray, "rate size"]:
    """Exact expected risk after one pass over fresh examples; infinite if the rate is not stable.

    The second moments m_i of v_i - w_i follow m' = A m + eta^2 sigma^2 lambda with the symmetric matrix
    A = diag(1 - 2 eta lambda + 2 eta^2 lambda^2) + eta^2 lambda lambda^T, by the fourth moments of a Gaussian.
    """
    spectrum, risks = problem.spectrum, np.full((len(rates), len(samples)), np.inf)
    for rate, risk in zip(rates, risks, strict=True):
        step = np.diag(1 - 2 * rate * spectrum + 2 * (rate * spectrum) ** 2) + np.outer(spectrum, spectrum) * rate**2
        values, vectors = np.linalg.eigh(step)
        if values[-1] >= 1:
            continue
        noise = vectors.T @ (rate**2 * problem.noise * spectrum)
        start, end = vectors.T @ np.ones(len(spectrum)), noise / (1 - values)
        moments = end[:, None] + values[:, None] ** samples * (start - end)[:, None]
        risk[:] = (spectrum @ vectors) @ moments
    return risks


class Epoch(NamedTuple):
    """The effect of one epoch in a fixed order on v - w: it is multiplied by ``map``, and noise is added.

    Attributes:
        map: the matrix P.
        covariance: covariance of the noise.
    """

    map: Float[ndarray, "*stack dim dim"]
    covariance: Float[ndarray, "*stack dim dim"]


def epoch(problem: Problem, rates: Float[ndarray, "rate"], inputs: Float[ndarray, "set samples dim"]) -> Epoch:
    """One epoch over each of the sets at each rate: arrays ``[set, rate, dim, dim]``."""
    sets, _, dim = inputs.shape
    state = np.zeros((2, sets, len(rates), dim, dim))
    product, covariance = state
    product[:] = np.eye(dim)
    eta = rates[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        for x in inputs.transpose(1, 0, 2):
            seen = np.einsum("sd,kslde->ksle", x, state)
            outer = np.einsum("sd,se->sde", x, x)
            self_seen = np.einsum("sle,se->sl", seen[1], x)
            pushed = eta * x[:, None]
            state -= pushed[..., None] * seen[:, :, :, None]
            # The right factor of (I - eta x x^T) V (I - eta x x^T), and the new noise.
            covariance -= (eta * seen[1])[..., None] * x[:, None, None]
            covariance += (rates**2 * (self_seen + problem.noise))[..., None, None] * outer[:, None]
    return Epoch(product, covariance)


def epochs(problem: Problem, single: Epoch, counts: Sequence[int]) -> Float[ndarray, "set rate count"]:
    """Expected risk after each number of epochs in the same order: the exact mean over teacher and noise.

    After K epochs v - w is P^K (v_0 - w) + (I + P + ... + P^(K-1)) b, where b is the same in all epochs.

    Args:
        problem: spectrum and noise.
        single: one epoch, as :func:`epoch` returns it for the inputs.
        counts: numbers of epochs K, increasing.
    """
    power, total, done = np.broadcast_to(np.eye(len(problem.spectrum)), single.map.shape), np.zeros_like(single.map), 0
    risks = []
    with np.errstate(over="ignore", invalid="ignore"):
        for count in counts:
            for more, its_total in _additions(count - done, single.map):
                # P^(j + k) and its sum from those of j and k.
                power, total = more @ power, total @ more + its_total
            done = count
            bias = np.einsum("d,...de->...", problem.spectrum, np.square(power))
            variance = np.einsum(
                "d,...de,...ef,...df->...", problem.spectrum, total, single.covariance, total, optimize=True
            )
            risks.append(bias + variance)
    stacked = np.stack(risks, axis=-1)
    return np.where(np.isfinite(stacked), stacked, np.inf)


def _additions(count: int, step: Float[ndarray, "*stack dim dim"]) -> Iterator[tuple[ndarray, ndarray]]:
    """P^k and I + ... + P^(k-1) for the powers of two k whose sum is ``count``."""
    power, total = step, np.broadcast_to(np.eye(step.shape[-1]), step.shape)
    while count:
        if count & 1:
            yield power, total
        count >>= 1
        if count:
            total = total + total @ power
            power = power @ power


def simulate(
    generator: np.random.Generator,
    problem: Problem,
    rates: Float[ndarray, "rate"],
    samples: int,
    counts: Sequence[int],
    replicas: int,
    reshuffled: bool = True,
) -> Float[ndarray, "replica rate count"]:
    """Risks of simulated SGD runs after each number of epochs; every run has its own teacher, noise and inputs.

    Args:
        generator: source of all random numbers.
        problem: spectrum and noise.
        rates: learning rates.
        samples: N.
        counts: numbers of epochs.
        replicas: number of runs.
        reshuffled: whether each epoch has a new order, as with ``reuse: epochs`` in a fit, or all have the same.
    """
    dim = len(problem.spectrum)
    teacher = generator.standard_normal((replicas, dim))
    x = problem.inputs(generator, replicas, samples)
    y = np.einsum("rnd,rd->rn", x, teacher) + np.sqrt(problem.noise) * generator.standard_normal((replicas, samples))
    v, row, risks = np.zeros((replicas, len(rates), dim)), np.arange(replicas), []
    order = np.broadcast_to(np.arange(samples), (replicas, samples))
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(1, counts[-1] + 1):
            if reshuffled:
                order = generator.permuted(np.broadcast_to(np.arange(samples), (replicas, samples)), axis=1)
            for place in order.T:
                example, label = x[row, place], y[row, place]
                error = label[:, None] - np.einsum("rd,rld->rl", example, v)
                v += (rates * error)[..., None] * example[:, None]
            if number in counts:
                risks.append(np.square(v - teacher[:, None]) @ problem.spectrum)
    return np.stack(risks, axis=-1)


def tuned(risks: Float[ndarray, "*stack rate count"]) -> Float[ndarray, "*stack count"]:
    """The smallest risk over a geometric grid of rates, from the parabola of log risk through the three best."""
    logs = np.log(risks)
    best = np.clip(logs.argmin(-2), 1, risks.shape[-2] - 2)[..., None, :]
    left, middle, right = (np.take_along_axis(logs, best + shift, -2)[..., 0, :] for shift in (-1, 0, 1))
    curvature = left - 2 * middle + right
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        bottom = middle - np.square(right - left) / (8 * curvature)
    fits = np.isfinite(bottom) & (curvature > 0) & (middle <= left) & (middle <= right)
    return np.exp(np.where(fits, bottom, np.minimum(np.minimum(left, middle), right)))
