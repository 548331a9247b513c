"""The bounds of Theorem 1 and Corollary 2 with the constants of their proofs (Liu et al. 2026, appendix A).

The paper does not state the constant of the matrix Bernstein inequality; here it is that of Tropp 2012, theorem 1.4.
The universal constant c_0 is sqrt(3/8), as in lemma 1, and for random labels 1 / sqrt(2), as in corollary 5.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from svl.theory.moment import Labels

Number = float | Num[ndarray, "..."]
SIGNAL = {"true": np.sqrt(3 / 8), "random": 1 / np.sqrt(2)}
"""c_0 for true and c_r for random labels: in the good event abs(q_0) is at least this, divided by sqrt(N)."""


def spectral_norm(dim: Number, samples: Number, delta: float, labels: Labels = "true") -> Number:
    """B: an upper bound on the norm of the moment matrix, with probability 1 - delta (lemma 5, corollary 6).

    With L = log(2 d / delta) it is sqrt(2 d L / N) + (2/3) R L / N, with R = d, for random labels; for true labels,
    whose moment matrix is centred first, it has R = 2 d and is larger by 1.
    """
    log = np.log(2 * np.asarray(dim) / delta)
    bound, centre = (2, 1) if labels == "true" else (1, 0)
    return centre + np.sqrt(2 * dim * log / samples) + 2 / 3 * bound * dim * log / samples


TERMS = ("1", "1 / (2 η B)", "1 / (32 η B √d)", "square root")
"""The four terms of a*: no clipping; lemma 3's stability; lemma 7's drift by its second summand, and by its first."""


def threshold_terms(
    dim: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true"
) -> Float[ndarray, "term ..."]:
    """The terms of the threshold a* of appendix A.4.3, in the order of :data:`TERMS`; a* is the smallest.

    Args:
        dim: d.
        samples: N.
        rate: eta.
        norm: B, an upper bound on the norm of the moment matrix.
        labels: labels of phase 1.
    """
    root = np.sqrt(dim)
    choices = (
        1.0,
        1 / (2 * rate * norm),
        1 / (32 * rate * norm * root),
        np.sqrt(SIGNAL[labels] / (64 * norm * root * np.sqrt(samples))),
    )
    return np.stack(np.broadcast_arrays(*choices))


def threshold(dim: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true") -> Number:
    """The threshold a* of appendix A.4.3, for moment matrices whose norm is at most ``norm``."""
    return threshold_terms(dim, samples, rate, norm, labels).min(0)


def phase_1(target: Number, initial: Number, samples: Number, rate: Number, labels: Labels = "true") -> Number:
    """Upper bound on the steps of phase 1: T_1 <= ceil(2 (a* - abs(a_0))_+ sqrt(N) / (eta c_0)) (theorem 3)."""
    return np.ceil(2 * np.clip(target - np.abs(initial), 0, None) * np.sqrt(samples) / (rate * SIGNAL[labels]))


def phase_2(outer: Number, alignment: Number, epsilon: float, rate: Number) -> Number:
    """Upper bound on the steps of phase 2: T_2 <= ceil(2 / (eta abs(a)) log(1 / (alpha_0^2 epsilon))) (lemma 6).

    In theorem 1, alpha_0^2 = 1 / (16 d).
    """
    return np.ceil(2 / (rate * np.abs(outer)) * np.log(1 / (np.square(alignment) * epsilon)))


def drift(
    target: Number, initial: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true"
) -> Number:
    """Upper bound on how far w moves in phase 1 (lemma 7)."""
    growth = np.clip(target - np.abs(initial), 0, None)
    return 8 * norm * np.sqrt(samples) / SIGNAL[labels] * target * growth + 4 * rate * norm * target


def starts_well(along: Float[ndarray, "replica 2"], dim: Number) -> Bool[ndarray, "replica"]:
    """The event P_0 of lemma 10: abs(q_pop) >= 3 / (4 d), and the part of w on the support has norm <= d^(-1/2).

    Args:
        along: components of w along u+ and u-.
    """
    square = np.square(along)
    return (np.abs(square[:, 0] - square[:, 1]) >= 0.75 / dim) & (square.sum(1) <= 1 / dim)
