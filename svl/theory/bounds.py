"""The bounds of Theorem 1 and Corollary 2 with the constants that their proofs give (Liu et al. 2026, appendix A).

C of the matrix Bernstein inequality, which the paper leaves open, is that of Tropp 2012, theorem 1.4. The universal
constant c_0 is sqrt(3/8), the value of lemma 1; for random labels 1 / sqrt(2), of corollary 5.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from svl.theory.moment import Labels

Number = float | Num[ndarray, "..."]
SIGNAL = {"true": np.sqrt(3 / 8), "random": 1 / np.sqrt(2)}
"""c_0 and c_r: the good event asks for abs(q_0) of at least this over sqrt(N)."""


def good_event_probability(labels: Labels = "true") -> float:
    """Least probability of the good event sign a_0 = sign q_0, abs(q_0) >= c_0 / sqrt(N) (lemmas 1 and 2)."""
    return float((1 - 1 / np.sqrt(2)) * (1 - 4 / 3 * SIGNAL["true"] ** 2) ** 2 / 3**8 / 2)


def spectral_norm(dim: Number, samples: Number, delta: float, labels: Labels = "true") -> Number:
    """B: the moment matrix's norm is at most this with probability 1 - delta (lemma 5, corollary 6).

    With L = log(2 d / delta): sqrt(2 d L / N) + (2/3) R L / N; R = d for random labels, and for true ones, which are
    centred first, R = 2 d and 1 more.
    """
    log = np.log(2 * np.asarray(dim) / delta)
    bound, centre = (2, 1) if labels == "true" else (1, 0)
    return centre + np.sqrt(2 * dim * log / samples) + 2 / 3 * bound * dim * log / samples


def threshold(dim: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true") -> Number:
    """a* as appendix A.4.3 chooses it, for moment matrices whose norm is at most ``norm``."""
    root = np.sqrt(dim)
    choices = (
        1 / (2 * rate * norm),
        1 / (32 * rate * norm * root),
        np.sqrt(SIGNAL[labels] / (64 * norm * root * np.sqrt(samples))),
    )
    return np.minimum(1.0, np.minimum.reduce(np.broadcast_arrays(*choices)))


def phase_1(target: Number, initial: Number, samples: Number, rate: Number, labels: Labels = "true") -> Number:
    """T_1 <= ceil(2 (a* - abs(a_0))_+ sqrt(N) / (eta c_0)) (theorem 3)."""
    return np.ceil(2 * np.clip(target - np.abs(initial), 0, None) * np.sqrt(samples) / (rate * SIGNAL[labels]))


def phase_2(outer: Number, alignment: Number, epsilon: float, rate: Number) -> Number:
    """T_2 <= ceil(2 / (eta abs(a)) log(1 / (alpha_0^2 epsilon))) (lemma 6); alpha_0^2 = 1 / (16 d) in theorem 1."""
    return np.ceil(2 / (rate * np.abs(outer)) * np.log(1 / (np.square(alignment) * epsilon)))


def drift(
    target: Number, initial: Number, samples: Number, rate: Number, norm: Number, labels: Labels = "true"
) -> Number:
    """How far w moves in phase 1 at most (lemma 7)."""
    growth = np.clip(target - np.abs(initial), 0, None)
    return 8 * norm * np.sqrt(samples) / SIGNAL[labels] * target * growth + 4 * rate * norm * target


def starts_well(along: Float[ndarray, "replica 2"], dim: Number) -> Bool[ndarray, "replica"]:
    """Lemma 10's event P_0: abs(q_pop) >= 3 / (4 d) and at most 1 / sqrt(d) of w on the support.

    Args:
        along: parts of w along u+ and u-.
    """
    square = np.square(along)
    return (np.abs(square[:, 0] - square[:, 1]) >= 0.75 / dim) & (square.sum(1) <= 1 / dim)
