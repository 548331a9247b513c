"""The projected quadratic neuron as an exact recursion: equation 1 depends on the data only by the moment matrix.

With f = a (w.x)^2 / 2 - 1 and the loss -y f, a step is a' = clip(a + eta q / 2) with q = w^T M w, and w' is the
direction of (I + eta a M) w. In the eigenbasis of M this is one multiplication per coordinate, so arms of any
(d, N, m, a*, eta, seed) are rows of one array; rows of smaller dimension are padded with zeros, which stay zero.
Source: Liu et al. 2026, section 4.2 and appendix A.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from svl.theory.moment import SUPPORT

POPULATION = np.array([1.0, -1.0, 0.0])
"""Eigenvalues of the population's M along u+, along u- and along the rest of w."""


class Eigenbasis(NamedTuple):
    """A neuron's weights in the eigenbasis of its moment matrix, and the support's eigenvectors u+ and u- there."""

    eigenvalues: Float[ndarray, "replica dim"]
    w: Float[ndarray, "replica dim"]
    support: Float[ndarray, "replica 2 dim"]

    @property
    def norm(self) -> Float[ndarray, "replica"]:
        """The spectral norm of each moment matrix."""
        return np.abs(self.eigenvalues).max(1)


class State(NamedTuple):
    """The state before a step: the output weight a, the direction w, and the signal q that drives a."""

    a: Float[ndarray, "replica"]
    w: Float[ndarray, "replica dim"]
    q: Float[ndarray, "replica"]


class Descent(NamedTuple):
    """The result of a phase for each replica.

    Attributes:
        steps: number of steps until its end, or the limit.
        ended: whether it ended within the limit.
        a, w: weights at the end.
        sign_kept: whether sign a = sign q = sign q_0 before every step.
        growth: smallest ratio |q'| / |q| of successive steps, at most 1.
    """

    steps: Int[ndarray, "replica"]
    ended: Bool[ndarray, "replica"]
    a: Float[ndarray, "replica"]
    w: Float[ndarray, "replica dim"]
    sign_kept: Bool[ndarray, "replica"]
    growth: Float[ndarray, "replica"]


Stop = Callable[[Float[ndarray, "replica"], Float[ndarray, "replica dim"], Int[ndarray, "replica"]], ndarray]
"""Says which replicas have ended a phase, given their a, their w and their row numbers."""


def diagonal(moment: Float[ndarray, "replica dim dim"], w: Float[ndarray, "replica dim"]) -> Eigenbasis:
    """Diagonalises the moment matrices and expresses the weights in their eigenbases."""
    eigenvalues, vectors = np.linalg.eigh(moment)
    return Eigenbasis(eigenvalues, np.einsum("rij,ri->rj", vectors, w), SUPPORT @ vectors[:, :2])


def joined(parts: list[Eigenbasis]) -> Eigenbasis:
    """Stacks replicas of different dimensions, padded with zeros."""
    dim = max(part.w.shape[1] for part in parts)

    def wide(array: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, dim - array.shape[-1])])

    return Eigenbasis(*(np.concatenate([wide(part[field]) for part in parts]) for field in range(3)))


def seen_by_population(basis: Eigenbasis, w: Float[ndarray, "replica dim"]) -> Float[ndarray, "replica 3"]:
    """The components of a direction for the population's recursion: along u+, along u-, and the norm of the rest."""
    along = np.einsum("rsd,rd->rs", basis.support, w)
    rest = np.sqrt(np.clip(1 - np.square(along).sum(1, keepdims=True), 0, None))
    return np.concatenate([along, rest], axis=1)


def path(
    a: Float[ndarray, "replica"],
    w: Float[ndarray, "replica dim"],
    eigenvalues: Float[ndarray, "... dim"],
    rate: Float[ndarray, "replica"] | float,
    held: bool = False,
) -> Iterator[State]:
    """The states before step 0, 1, 2, ...

    Args:
        a: initial output weights.
        w: initial directions, in the eigenbasis of the moment matrix.
        eigenvalues: eigenvalues of the moment matrix.
        rate: eta.
        held: whether a is held fixed, as in the contraction lemma.
    """
    rate, state = np.broadcast_to(rate, a.shape), _state(a, w, eigenvalues)
    while True:
        yield state
        state = _step(state, eigenvalues, rate, held)


def _state(a: ndarray, w: ndarray, eigenvalues: ndarray) -> State:
    return State(a, w, (eigenvalues * np.square(w)).sum(1))


def _step(state: State, eigenvalues: ndarray, rate: ndarray, held: bool = False) -> State:
    w = state.w * (1 + (rate * state.a)[:, None] * eigenvalues)
    w /= np.sqrt(np.square(w).sum(1, keepdims=True))
    return _state(state.a if held else np.clip(state.a + rate / 2 * state.q, -1, 1), w, eigenvalues)


def descend(
    a: Float[ndarray, "replica"],
    w: Float[ndarray, "replica dim"],
    eigenvalues: Float[ndarray, "... dim"],
    rate: Float[ndarray, "replica"] | float,
    stop: Stop,
    limit: int = 10**6,
) -> Descent:
    """Steps of :func:`path` until ``stop``, for each replica on its own.

    Args:
        a: initial output weights.
        w: initial directions, in the eigenbasis of the moment matrix.
        eigenvalues: eigenvalues of the moment matrix.
        rate: eta.
        stop: the end of the phase.
        limit: largest number of steps.
    """
    rate, eigenvalues = np.broadcast_to(rate, a.shape), np.broadcast_to(eigenvalues, w.shape)
    result = Descent(
        np.full(len(a), limit), np.zeros(len(a), bool), a.copy(), w.copy(), np.ones(len(a), bool), np.ones(len(a))
    )
    state, rows = _state(a, w, eigenvalues), np.arange(len(a))
    first = before = state.q
    for step in range(limit + 1):
        done = stop(state.a, state.w, rows)
        if done.any() or step == limit:
            result.steps[rows[done]], result.ended[rows[done]] = step, True
            result.a[rows], result.w[rows] = state.a, state.w
            # Only the replicas that have not ended continue.
            rows, before, rate, eigenvalues = (part[~done] for part in (rows, before, rate, eigenvalues))
            state = State(*(part[~done] for part in state))
            if not rows.size:
                break
        sign = np.sign(state.q)
        result.sign_kept[rows] &= (np.sign(state.a) == sign) & (sign == np.sign(first[rows]))
        with np.errstate(divide="ignore", invalid="ignore"):
            result.growth[rows] = np.fmin(result.growth[rows], np.abs(state.q / before))
        before, state = state.q, _step(state, eigenvalues, rate)
    return result


def reached(threshold: Float[ndarray, "replica"]) -> Stop:
    """The end of phase 1: abs(a) has reached the threshold a*."""
    return lambda a, w, rows: np.abs(a) >= threshold[rows]


def aligned(epsilon: float) -> Stop:
    """The end of phase 2: the squared cosine with u+ or u- is at least 1 - epsilon."""
    return lambda a, w, rows: np.square(w[:, :2]).max(1) >= 1 - epsilon


def held_steps(
    a: Float[ndarray, "replica"],
    w: Float[ndarray, "replica 3"],
    rate: Float[ndarray, "replica"] | float,
    epsilon: float,
) -> Float[ndarray, "replica"]:
    """Number of steps of phase 2 with a held fixed, by bisection instead of simulation.

    t steps multiply the component along u+ by (1 + eta a)^t and that along u- by (1 - eta a)^t.

    Args:
        a: output weights.
        w: directions, as :func:`seen_by_population` returns them.
        rate: eta.
        epsilon: phase 2 ends when the squared cosine with u+ or u- is at least 1 - epsilon.
    """
    up = np.where(a > 0, w[:, 0], w[:, 1])
    down = np.where(a > 0, w[:, 1], w[:, 0])
    step = rate * np.abs(a)

    def is_short(t: Float[ndarray, "replica"]) -> Bool[ndarray, "replica"]:
        # log of (b_t^2 + v^2) / c_t^2, whose first term may be 0.
        with np.errstate(divide="ignore"):
            first, second = (2 * np.log(np.abs(part / up)) for part in (down, w[:, 2]))
        others = np.logaddexp(first + 2 * t * np.log1p(-step), second)
        return others - 2 * t * np.log1p(step) > np.log(epsilon / (1 - epsilon))

    # Each step multiplies the rest by at most 1 / (1 + eta a) (lemma 6), which bounds t from above.
    low = np.full(len(a), -1.0)
    high = np.ceil(np.log(np.sqrt((1 - up**2) / up**2 * (1 - epsilon) / epsilon)).clip(0) / np.log1p(step))
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        short = is_short(middle)
        low, high = np.where(short & (high - low > 1), middle, low), np.where(short | (high - low <= 1), high, middle)
    return high


def trajectory(
    a: Float[ndarray, "replica"],
    w: Float[ndarray, "replica dim"],
    moment: Float[ndarray, "replica dim dim"],
    rate: float,
    steps: int,
) -> State:
    """The states before steps 0 to ``steps`` in the coordinates of the inputs, stacked along a new first axis."""
    eigenvalues, vectors = np.linalg.eigh(moment)
    turned = np.einsum("rij,ri->rj", vectors, w)
    states = [state for _, state in zip(range(steps + 1), path(a, turned, eigenvalues, rate), strict=False)]
    a_t, w_t, q_t = (np.stack(part) for part in zip(*states, strict=True))
    return State(a_t, np.einsum("rij,trj->tri", vectors, w_t), q_t)
