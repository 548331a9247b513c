"""Sparse parity with a staircase of lower-degree parities in the training labels."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number
from svl.tasks.parity import Parity
from svl.tasks.task import TEST_START


class Staircase(Parity):
    """Parity with a staircase of lower degrees: y = chi_k(x) + epsilon sum_{j=1}^{k-1} chi_j(x), with k = ``degree``.

    x is uniform in {-1, 1}^dim, and chi_j is the product of its first j coordinates. Test labels are chi_k alone: a
    network that fits the training labels exactly has a squared test error of epsilon^2 (k - 1), and accuracy 1 if
    epsilon (k - 1) < 1.

    Source: Kotha et al. 2025, figure 10 and appendix C.3, after the staircases of Abbe et al. 2021.

    Args:
        dim: number of coordinates, 1 to 128.
        degree: k, the size of the support, 1 to ``dim``.
        epsilon: coefficient of the lower degrees, at least 0. Can differ by replica.

    Raises:
        SettingError: for a setting out of range.
    """

    target = "number"
    per_replica: ClassVar[frozenset[str]] = frozenset({"epsilon"})

    def __init__(self, dim: int = 20, degree: int = 6, epsilon: float = 0.0) -> None:
        super().__init__(dim, degree)
        self.epsilon = check_number("epsilon", epsilon, 0, math.inf, open_high=True)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        """The same inputs as those of :class:`~svl.tasks.parity.Parity`, with the staircase's labels."""
        return self._with_steps(*super().examples(key, index))

    def sign_examples(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> None:
        """None: the labels are not those of parity."""

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        """Test inputs, labelled by chi_k alone."""
        return super().examples(key, TEST_START + index)

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        return self._with_steps(*super().population(key, index))

    def labels(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch {self.dim}"],
        index: Int[Tensor, "replica batch"],
    ) -> Float[Tensor, "replica batch"]:
        return self._with_steps(inputs, super().labels(key, inputs, index))[1]

    def _with_steps(self, x: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.epsilon, float) and self.epsilon == 0:
            return x, top
        # x_1 + x_1 x_2 + ... = x_1 (1 + x_2 (1 + ...)); a compiled step cannot fuse a cumulative product.
        steps = torch.zeros_like(top)
        for coordinate in reversed(range(self.degree - 1)):
            steps = x[..., coordinate] * (1 + steps)
        return x, top + self.epsilon * steps
