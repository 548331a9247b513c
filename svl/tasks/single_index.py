"""Single-index models: Gaussian inputs and a link of one direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.errors import SettingError, check_whole
from svl.optim.rule import check_number
from svl.tasks.task import Task

LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "he1": lambda z: z,
    "he2": lambda z: z**2 - 1,
    "he3": lambda z: z**3 - 3 * z,
    "he4": lambda z: z**4 - 6 * z**2 + 3,
    "he5": lambda z: z**5 - 10 * z**3 + 15 * z,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
}
"""Probabilists' Hermite polynomials He_1 to He_5, and others."""


class SingleIndex(Task):
    """x ~ N(0, I_dim), y = link(<w, x>) + noise, with a teacher w drawn once for each seed, uniform on the unit sphere.

    Source: Liu et al. 2026, section 3: link He_3, dim 40 or 50.

    Args:
        dim: number of coordinates.
        link: he1 to he5, relu, sigmoid or sign.
        noise: standard deviation of the label noise. Can vary by replica.

    Raises:
        SettingError: for a number out of range or an unknown link.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __init__(self, dim: int = 40, link: str = "he3", noise: float = 0.0) -> None:
        check_whole("data.task.dim", dim, 1)
        if link not in LINKS:
            raise SettingError("data.task.link", link, ", ".join(LINKS))
        self.dim, self.link = dim, link
        self.noise = check_number("data.task.noise", noise, 0, math.inf, open_high=True)
        self.input_shape = (dim,)

    def teacher(self, key: Int[Tensor, "replica 2"]) -> Float[Tensor, "replica dim"]:
        """Each replica's direction."""
        direction = random.normals(random.fold(key, "teacher"), torch.zeros_like(key[:, 0]), self.dim)
        return direction / direction.norm(dim=1, keepdim=True)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        draws = random.normals(random.fold(key, "example")[:, None], index, self.dim + 1)
        x = draws[..., : self.dim]
        y = LINKS[self.link]((x * self.teacher(key)[:, None]).sum(-1))
        return x, y + self.noise * draws[..., self.dim]
