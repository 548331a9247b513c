"""Training in two phases, on N samples and then on the population, of neurons in the event of Theorem 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from svl.theory import bounds, moment
from svl.theory.moment import Labels
from svl.theory.neuron import (
    POPULATION,
    Eigenbasis,
    aligned,
    descend,
    diagonal,
    held_steps,
    reached,
    seen_by_population,
)


class Start(NamedTuple):
    """Neurons at initialisation and their data.

    Attributes:
        basis: w and the moment matrix of each.
        sign: sign of a, which equals that of q_0.
        dim, samples: d and N.
        labels: labels of phase 1.
        chance: measured probability of the event among all initialisations and datasets.
    """

    basis: Eigenbasis
    sign: Float[ndarray, "replica"]
    dim: int
    samples: int
    labels: Labels
    chance: float


class Grown(NamedTuple):
    """Neurons after phase 1, and the quantities in the proof; one row for each replica.

    Attributes:
        steps: T_1.
        initial: abs(a) before phase 1.
        a: output weight after phase 1.
        w: direction after phase 1, as :func:`~svl.theory.neuron.seen_by_population` returns it.
        stable: whether eta a* |M^| <= 1/2.
        sign_kept, growth: as in :class:`~svl.theory.neuron.Descent`.
        drift: |w - w_0|.
        rate: eta.
    """

    steps: Int[ndarray, "replica"]
    initial: Float[ndarray, "replica"]
    a: Float[ndarray, "replica"]
    w: Float[ndarray, "replica 3"]
    stable: Bool[ndarray, "replica"]
    sign_kept: Bool[ndarray, "replica"]
    growth: Float[ndarray, "replica"]
    drift: Float[ndarray, "replica"]
    rate: float

    @property
    def alignment(self) -> Float[ndarray, "replica"]:
        """alpha_0 = abs(<w, u_sign(a)>)."""
        return np.abs(np.where(self.a > 0, self.w[:, 0], self.w[:, 1]))

    def held(self, epsilon: float) -> Float[ndarray, "replica"]:
        """T_2 with a held fixed, until the squared cosine with u+ or u- is 1 - epsilon."""
        return held_steps(self.a, self.w, self.rate, epsilon)

    def free(self, epsilon: float) -> Int[ndarray, "replica"]:
        """T_2 with both weights trained."""
        done = descend(self.a, self.w, POPULATION, self.rate, aligned(epsilon))
        assert done.ended.all()
        return done.steps


def directions(
    generator: np.random.Generator, dim: int, replicas: int, starts_well: bool
) -> tuple[Float[ndarray, "replica dim"], float]:
    """Random directions: uniform on the unit sphere, or on its part where P_0 of lemma 10 holds; and that part's share.

    Args:
        generator: source of the directions.
        dim: d.
        replicas: number of directions.
        starts_well: whether P_0 must hold.
    """
    parts, drawn, kept = [], 0, 0
    while kept < replicas:
        w = generator.standard_normal((max(64, 8 * replicas), dim))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        inside = bounds.starts_well(w[:, :2] @ moment.SUPPORT, dim)
        drawn, chosen = drawn + len(w), w[inside] if starts_well else w
        kept += len(chosen)
        parts.append(chosen)
    return np.concatenate(parts)[:replicas], kept / drawn


def start(generator: np.random.Generator, dim: int, samples: int, replicas: int, labels: Labels = "true") -> Start:
    """Draws replicas until enough are in the event of lemma 10 or 12: P_0 and G_sign.

    The sign of a is independent of everything else, so it is set instead of drawn.

    Args:
        generator: source of neurons and data.
        dim: d.
        samples: N.
        replicas: number of replicas.
        labels: labels of phase 1.
    """
    parts, tried, got, share = [], 0, 0, 0.0
    while got < replicas:
        count = 16 + 3 * (replicas - got)
        w, share = directions(generator, dim, count, starts_well=True)
        matrices = moment.empirical(generator, dim, samples, count, labels)
        q = np.einsum("ri,rij,rj->r", w, matrices, w)
        good = (q * w[:, 0] * w[:, 1] > 0) & (np.abs(q) >= bounds.SIGNAL[labels] / np.sqrt(samples))
        tried, got = tried + count, got + int(good.sum())
        basis = diagonal(matrices[good], w[good])
        parts.append((basis, np.sign(q[good])))
    basis = Eigenbasis(*(np.concatenate([part[0][field] for part in parts])[:replicas] for field in range(3)))
    sign = np.concatenate([part[1] for part in parts])[:replicas]
    return Start(basis, sign, dim, samples, labels, share * got / tried / 2)


def grow(basis: Eigenbasis, a: Float[ndarray, "replica"], target: float, rate: float) -> Grown:
    """Phase 1 of every replica.

    Args:
        basis: initial directions and moment matrices.
        a: initial output weights.
        target: a*, the abs(a) at which phase 1 ends.
        rate: eta.
    """
    done = descend(a, basis.w, basis.eigenvalues, rate, reached(np.full(len(a), target)))
    assert done.ended.all()
    return Grown(
        steps=done.steps,
        initial=np.abs(a),
        a=done.a,
        w=seen_by_population(basis, done.w),
        stable=rate * target * basis.norm <= 0.5,
        sign_kept=done.sign_kept,
        growth=done.growth,
        drift=np.linalg.norm(done.w - basis.w, axis=1),
        rate=rate,
    )


def outer_weights(generator: np.random.Generator, start: Start, width: float) -> Float[ndarray, "replica"]:
    """Initial output weights: draws of N(0, 1/m), m = ``width``, with the signs of ``start``."""
    return start.sign * np.abs(generator.standard_normal(len(start.sign))) / np.sqrt(width)
