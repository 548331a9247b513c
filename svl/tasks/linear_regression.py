"""Linear regression on Gaussian inputs with an isotropic or a power-law spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_number, check_whole
from svl.tasks.task import Task


class LinearRegression(Task):
    """Linear regression on Gaussian inputs: y = <w, x> + noise N(0, 1).

    x ~ N(0, diag(lambda)) with lambda_i = i^-exponent, and the teacher w ~ N(0, I_dim).

    With exponent 0 the inputs are isotropic; above 0 their spectrum is a power law. The prior of w is always isotropic.

    Source: Yan et al. 2025, SGD with several epochs; Liu et al. 2026, section 6.

    Args:
        dim: number of coordinates.
        exponent: exponent of the power-law spectrum, at least 0. Can differ by replica.
        noise: standard deviation of the label noise. Can differ by replica.

    Raises:
        SettingError: for a setting out of range.
    """

    target = "number"
    has_teacher = True
    per_replica: ClassVar[frozenset[str]] = frozenset({"exponent", "noise"})

    def __init__(self, dim: int = 32, exponent: float = 0.0, noise: float = 1.0) -> None:
        check_whole("dim", dim, 1)
        self.dim, self.input_shape = dim, (dim,)
        self.exponent = check_number("exponent", exponent, 0, math.inf, open_high=True)
        self.noise = check_number("noise", noise, 0, math.inf, open_high=True)

    def eigenvalues(self, key: Int[Tensor, "replica 2"]) -> Float[Tensor, "replica {self.dim}"]:
        """Each replica's spectrum lambda, the variances of the coordinates."""
        # A power would round differently for a number and for a tensor of numbers.
        rank = torch.arange(1, self.dim + 1, dtype=torch.float32, device=key.device)
        return torch.exp(-self.exponent * rank.log()).expand(key.shape[0], -1)

    def teacher(self, key: Int[Tensor, "replica 2"]) -> Float[Tensor, "replica {self.dim}"]:
        """Each replica's weights w."""
        return random.normals(random.fold(key, "teacher"), torch.zeros_like(key[:, 0]), self.dim)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        draws = random.normals(random.fold(key, "example")[:, None], index, self.dim)
        x = draws * self.eigenvalues(key).sqrt()[:, None]
        return x, self.labels(key, x, index)

    def labels(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch {self.dim}"],
        index: Int[Tensor, "replica batch"],
    ) -> Float[Tensor, "replica batch"]:
        y = self._signal(key, inputs)
        if isinstance(self.noise, float) and self.noise == 0:
            return y
        words = random.bits(random.fold(key, "noise")[:, None], index)
        return y + self.noise * random.normal_pair(*words[:2])[0]

    def risk(
        self, key: Int[Tensor, "replica 2"], weights: Float[Tensor, "replica {self.dim}"]
    ) -> Float[Tensor, "replica"]:
        """The excess risk of a linear predictor, sum_i lambda_i (v_i - w_i)^2 for its ``weights`` v."""
        return (self.eigenvalues(key) * (weights - self.teacher(key)).square()).sum(-1)

    def references(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch {self.dim}"],
        targets: Float[Tensor, "replica batch"],
        pools: Mapping[str, Int[Tensor, "replica"]],
    ) -> dict[str, Float[Tensor, "replica"]]:
        """``bayes``: the squared error of the teacher, which is the mean square of the noise on these targets."""
        return {"bayes": (targets - self._signal(key, inputs)).square().mean(-1)}

    def _signal(self, key: Tensor, x: Tensor) -> Tensor:
        return (x * self.teacher(key)[:, None]).sum(-1)
