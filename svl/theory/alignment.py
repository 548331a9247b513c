"""How well w is aligned after phase 1, and which drifts keep the sign that phase 2 needs.

Source: Liu et al. 2026, lemmas 8 and 11.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from svl.theory import bounds, experiment
from svl.theory.experiment import Bound
from svl.theory.two_phase import Grown, Start

ANGLES = 256
"""Directions of the drift that are tried."""
SURE = float((np.sqrt(7 / 8) - np.sqrt(1 / 8)) / np.sqrt(2))
"""sqrt(d) times the smallest drift that changes the sign of q_pop from some direction in P_0: 0.411.

The sign changes where abs(z_s) = abs(z_-s), at the distance (abs(z_s) - abs(z_-s)) / sqrt(2), which is smallest at
r^2 = 1 / d and q_pop = 3 / (4 d). Lemma 11 asks for 1/4.
"""


def initial(start: Start, sign: Float[ndarray, "replica"]) -> Float[ndarray, "replica"]:
    """abs(<w_0, u>), where u is u+ or u- by the sign of a."""
    along = np.einsum("rsd,rd->rs", start.basis.support, start.basis.w)
    return np.abs(np.where(sign > 0, along[:, 0], along[:, 1]))


class Kept(NamedTuple):
    """Alignment after phase 1 to one a*.

    Attributes:
        target: a*.
        samples: N.
        bound: lemma 8's lower bound on alpha_0, with lemma 7's bound on the drift.
        ratio: the bound divided by alpha_0.
        sign: whether sign q_pop is the same before and after phase 1.
        drift: sqrt(d) |w - w_0|, of which lemma 11 allows 1/4.
    """

    target: float
    samples: int
    bound: Float[ndarray, "replica"]
    ratio: Float[ndarray, "replica"]
    sign: Bool[ndarray, "replica"]
    drift: Float[ndarray, "replica"]

    def row(self) -> list[str]:
        """The row of the table of lemma 8: medians and shares over replicas."""
        shares = [np.median(self.ratio), (self.bound > 0).mean(), np.median(self.drift), self.sign.mean()]
        return [str(self.samples), *(experiment.number(float(value)) for value in (self.target, *shares))]

    def numbers(self) -> dict[str, Any]:
        """The numbers for JSON."""
        numbers: dict[str, Any] = {"target": self.target, "samples": self.samples, "replicas": int(self.ratio.size)}
        if self.ratio.size:
            numbers |= {"ratio": float(np.median(self.ratio)), "above_0": float((self.bound > 0).mean())}
            numbers |= {"drift": float(np.median(self.drift)), "sign_kept": float(self.sign.mean())}
        return numbers


def kept(paths: list[tuple[float, Start, Grown]]) -> list[Kept]:
    """Lemmas 8 and 11 on phases 1 to every a*, for the replicas that satisfy the stability condition."""
    rows = []
    for target, start, grown in paths:
        before, after = initial(start, grown.a), grown.alignment
        limit = bounds.drift(target, grown.initial, start.samples, grown.rate, start.basis.norm)
        bound = np.clip(before - limit, 0, None)
        same = (np.square(grown.w[:, 0]) - np.square(grown.w[:, 1])) * start.sign > 0
        far = np.sqrt(start.dim) * grown.drift
        parts = (part[grown.stable] for part in (bound, bound / after, same, far))
        rows.append(Kept(target, start.samples, *parts))
    return rows


def drifted(
    along: Float[ndarray, "replica 2"], size: float
) -> tuple[Float[ndarray, "replica angle 2"], Float[ndarray, "replica angle"]]:
    """Unit vectors near w_0 whose components along u+ and u- are moved by ``size`` in every direction.

    The rest of w is shortened or lengthened, so that the norm stays 1.

    Args:
        along: components of w_0 along u+ and u-.
        size: length of the move.

    Returns:
        the moved components; the distance from w_0.
    """
    turn = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    moved = along[:, None] + size * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rest, before = (np.sqrt(1 - np.square(part).sum(-1)) for part in (moved, along[:, None]))
    return moved, np.hypot(size, rest - before)


def worst(along: Float[ndarray, "replica 2"], dim: int) -> list[Bound]:
    """Lemma 11 in the worst case: the largest change of q_pop and the smallest alignment under its largest drift."""
    limit = 1 / (4 * np.sqrt(dim))
    before = np.square(along) @ [1, -1]
    sign = np.sign(before)
    moved, distance = drifted(along, limit * (1 - 1 / dim))
    inside = distance <= limit
    change = np.where(inside, sign[:, None] * (before[:, None] - np.square(moved) @ [1, -1]), 0).max(1)
    cosine = np.abs(np.where(sign[:, None] > 0, moved[..., 0], moved[..., 1]))
    alignment = np.where(inside, cosine, np.inf).min(1)
    return [
        Bound("change of q_pop, worst drift, lemma 11", change / (9 / (16 * dim))),
        Bound("(1 / 2 √d) / alignment, worst drift, lemma 11", 1 / (2 * np.sqrt(dim)) / alignment),
    ]


def sign_is_safe(along: Float[ndarray, "replica 2"], dim: int, size: float) -> Bool[ndarray, "replica"]:
    """Whether no move of the components by ``size`` / sqrt(d) changes the sign of q_pop."""
    before = np.square(along) @ [1, -1]
    moved, _ = drifted(along, size / np.sqrt(dim))
    return (before[:, None] * (np.square(moved) @ [1, -1]) > 0).all(1)
