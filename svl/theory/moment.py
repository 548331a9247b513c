"""The moment matrix E[y x x^T] of 2-sparse parity, of the population and of a dataset."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Labels = Literal["true", "random"]
SUPPORT = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
"""u+ and u-, the eigenvectors of M, on the two coordinates of the support."""


def population(dim: int) -> Float[ndarray, "dim dim"]:
    """The population's moment matrix M = e1 e2^T + e2 e1^T (Liu et al. 2026, appendix A.1)."""
    moment = np.zeros((dim, dim))
    moment[0, 1] = moment[1, 0] = 1
    return moment


def empirical(
    generator: np.random.Generator, dim: int, samples: int, replicas: int, labels: Labels = "true"
) -> Float[ndarray, "replica dim dim"]:
    """Empirical moment matrices M^ = (1/N) sum_s y x x^T of random datasets, without rounding for N below 2^24.

    Args:
        generator: source of the datasets.
        dim: d.
        samples: N.
        replicas: number of datasets.
        labels: true labels, or random signs.
    """
    moments = np.empty((replicas, dim, dim))
    for moment in moments:
        draws = np.frombuffer(generator.bytes(-(-samples * (dim + 1) // 8)), np.uint8)
        bits = np.unpackbits(draws, count=samples * (dim + 1))
        signs = (1 - 2 * bits.view(np.int8)).astype(np.float32)
        x, noise = signs[: samples * dim].reshape(samples, dim), signs[samples * dim :]
        y = x[:, 0] * x[:, 1] if labels == "true" else noise
        # Sums of signs are whole numbers, which float32 holds exactly.
        moment[:] = (x * y[:, None]).T @ x
    return moments / samples


def mean_square_signal(dim: int, samples: float, labels: Labels = "true") -> float:
    """E[q^2] of the signal q = w^T M^ w for w uniform on the unit sphere; N = infinity gives the population's.

    From E[q^2 | w] = mu^2 + (3 - 2 sum_i w_i^4 - mu^2) / N with mu = 2 w_1 w_2 for true labels, 0 for random ones
    (Liu et al. 2026, lemma 1 and corollary 5), and the moments of a uniform direction.
    """
    mean = 4 / (dim * (dim + 2)) if labels == "true" else 0.0
    return mean + (3 - 6 / (dim + 2) - mean) / samples
