"""Single-index models: a link function of one direction of a Gaussian input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_choice, check_number, check_whole
from svl.native.single_index import single_index_source
from svl.native.source import Source
from svl.tasks.task import Task

LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "he1": lambda z: z,
    "he2": lambda z: z * z - 1,
    "he3": lambda z: z * (z * z - 3),
    "he4": lambda z: z * z * (z * z - 6) + 3,
    "he5": lambda z: z * (z * z * (z * z - 10) + 15),
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
}
"""Link functions by name; he1 to he5 are the probabilists' Hermite polynomials, with E[He_k(z)^2] = k!."""


class SingleIndex(Task):
    """A single-index model: y = link(<w, x>) + noise N(0, 1) for x ~ N(0, I_dim) and w uniform on the unit sphere.

    Labels are real numbers, so there is no accuracy, except with the link ``sign``. Its labels without noise are -1 and
    1, so the losses for signs can be used too.

    Source: Liu et al. 2026, section 2; He_3 and dim 40 or 50 in appendix B.1.

    Args:
        dim: number of coordinates.
        link: the link function: he1 to he5, relu, sigmoid or sign.
        noise: standard deviation of the label noise. Can differ by replica.

    Raises:
        SettingError: for a ``dim`` or ``noise`` out of range, or an unknown ``link``.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __init__(self, dim: int = 40, link: str = "he3", noise: float = 0.0) -> None:
        check_whole("dim", dim, 1)
        check_choice("link", link, LINKS)
        self.dim, self.link = dim, link
        self.noise = check_number("noise", noise, 0, math.inf, open_high=True)
        self.input_shape, self.input_law, self.has_teacher = (dim,), "gaussian", True
        self.target = "sign" if link == "sign" and self.noise == 0 else "number"

    @property
    def has_accuracy(self) -> bool:
        """Whether labels are signs."""
        return self.link == "sign"

    def teacher(self, key: Int[Tensor, "replica 2"]) -> Float[Tensor, "replica {self.dim}"]:
        """Each replica's direction w."""
        direction = random.normals(random.fold(key, "teacher"), torch.zeros_like(key[:, 0]), self.dim)
        return direction / direction.norm(dim=1, keepdim=True)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        x = random.normals(random.fold(key, "example")[:, None], index, self.dim)
        return x, self.labels(key, x, index)

    def source(self, key: Int[Tensor, "replica 2"]) -> Source:
        noise = self.noise
        has_noise = not isinstance(noise, float) or noise > 0
        return single_index_source(
            random.fold(key, "example"),
            random.fold(key, "noise"),
            self.teacher(key),
            torch.as_tensor(noise).flatten().expand(len(key)) if has_noise else None,
            list(LINKS).index(self.link),
        )

    def labels(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch {self.dim}"],
        index: Int[Tensor, "replica batch"],
    ) -> Float[Tensor, "replica batch"]:
        y = LINKS[self.link]((inputs * self.teacher(key)[:, None]).sum(-1))
        if isinstance(self.noise, float) and self.noise == 0:
            return y
        words = random.bits(random.fold(key, "noise")[:, None], index)
        return y + self.noise * random.normal_pair(*words[:2])[0]

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Float[Tensor, "..."]
    ) -> Bool[Tensor, "..."] | None:
        """Whether output and label have the same sign; 0 counts as wrong. ``None`` for links other than ``sign``."""
        return outputs[..., 0] * targets > 0 if self.has_accuracy else None
