"""Probabilities of the events at initialisation: what appendix A of Liu et al. 2026 proves, and exact values.

The proofs say that constants exist; here they are those that each proof gives when its steps are followed. All
probabilities are over w uniform on the unit sphere, the data, and the sign of a, which is a fair coin.
"""

from __future__ import annotations

import numpy as np
from scipy import integrate, stats

from svl.theory.bounds import SIGNAL
from svl.theory.moment import Labels

KURTOSIS = 3.0**8
"""K: the fourth moment of a polynomial of degree 4 in signs is at most K times its squared variance (lemma 1)."""


def one_sided(kurtosis: float = KURTOSIS) -> float:
    """theta: a centred variable X with E[X^4] <= K sigma^4 has P(X >= theta sigma) >= theta^2 (lemma 10)."""
    return float(1 / (2**2.5 * np.sqrt(kurtosis)))


PROVED_SIGNAL = one_sided() * float(np.sqrt(3 / 4))
"""The c_0 for which lemma 10 is proved: theta times the smallest standard deviation, sqrt(3/4). It is 0.0019."""


def paley_zygmund(signal: float) -> float:
    """p_PZ(c): lower bound on P(abs(q_0) >= c / sqrt(N)) (lemma 1 and corollary 5), for c below sqrt(3)/2."""
    return float((1 - 1 / np.sqrt(2)) * (1 - 4 / 3 * signal**2) ** 2 / KURTOSIS)


def good_event(labels: Labels = "true") -> float:
    """Lower bound on the probability of sign a_0 = sign q_0 and abs(q_0) >= c / sqrt(N) (lemma 2)."""
    return paley_zygmund(SIGNAL[labels]) / 2


def aligned(dim: int) -> float:
    """p_align: lower bound on P(abs(<w, u>) >= 1 / (2 sqrt d)), by the two events of lemma 9's proof.

    It is P(abs(g_1) >= 1) - P(abs(g) > 2 sqrt d) for a standard normal vector g.
    """
    return float(2 * stats.norm.sf(1) - stats.chi2.sf(4 * dim, dim))


def exactly_aligned(dim: int) -> float:
    """P(abs(<w, u>) >= 1 / (2 sqrt d)) itself, since <w, u>^2 has the distribution Beta(1/2, (d - 1) / 2)."""
    return float(stats.beta.sf(1 / (4 * dim), 0.5, (dim - 1) / 2))


def starts_well(dim: int) -> float:
    """p_pop: lower bound on the probability of P_0 (lemmas 10 and 12), by the region R of the proof.

    R has 9 / (10 d) <= r^2 <= 1 / d, where r^2 has the distribution Beta(1, (d - 2) / 2), and abs(cos 2 theta) >= 5/6.
    """
    radius = stats.beta(1, (dim - 2) / 2)
    return float((radius.cdf(1 / dim) - radius.cdf(0.9 / dim)) * 2 / np.pi * np.arccos(5 / 6))


def exactly_starts_well(dim: int) -> float:
    """The probability of P_0 itself: r^2 <= 1 / d and r^2 abs(cos 2 theta) >= 3 / (4 d)."""
    radius = stats.beta(1, (dim - 2) / 2)
    return float(
        integrate.quad(lambda t: radius.pdf(t / dim) / dim * 2 / np.pi * np.arccos(0.75 / t), 0.75, 1, epsabs=1e-12)[0]
    )


def event(dim: int, labels: Labels = "true") -> float:
    """p_all: lower bound on the probability of the event of lemma 10 or, for random labels, 12.

    Lemma 10 proves p_pop theta^2 / 2, with c_0 = :data:`PROVED_SIGNAL`. Lemma 12 proves p_pop p_r / 4, with
    c_r = 1 / sqrt(2) and p_r = 1 / (4 3^8).
    """
    if labels == "true":
        return float(starts_well(dim) * one_sided() ** 2 / 2)
    return starts_well(dim) / (4 * KURTOSIS) / 4


def large_signal(dim: int, signal: float) -> float:
    """P(abs(q_0) >= c / sqrt(N)) for random labels and large N, where sqrt(N) q_0 is normal.

    Its variance, 3 - 2 sum_i w_i^4, is replaced by its mean over directions, 3 - 6 / (d + 2).
    """
    return float(2 * stats.norm.sf(signal / np.sqrt(3 - 6 / (dim + 2))))
