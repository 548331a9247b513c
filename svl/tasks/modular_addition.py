"""Modular addition of two numbers that are written in digits."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.tasks.task import Task

_LARGEST = 2**31


class ModularAddition(Task):
    """(N, p)-modular addition: x and z uniform in {0, ..., N - 1}, y = (x + z) mod p as one of p classes.

    The input is the ceil(log_b N) base-b digits of x, then those of z, each with the most significant digit first.
    There is no separator and no equals sign: a causal network predicts y at the last digit of z.

    Source: Liu et al. 2026, section 2, which does not state N, p and b; its figures 1d, 20 and 27.

    Args:
        modulus: p, 2 to 2^31; a prime in the paper.
        numbers: N, the number of values that an operand can have, 2 to 2^31; ``None`` for p.
        base: b, 2 to 2^31, the number of distinct tokens.

    Raises:
        SettingError: for a ``modulus``, ``numbers`` or ``base`` out of range.
    """

    target = "class"

    def __init__(self, modulus: int = 97, numbers: int | None = None, base: int = 10) -> None:
        check_whole("modulus", modulus, 2, _LARGEST, "2 to 2^31")
        if numbers is not None:
            check_whole("numbers", numbers, 2, _LARGEST, "2 to 2^31, or null for the modulus")
        check_whole("base", base, 2, _LARGEST, "2 to 2^31")
        self.modulus, self.numbers, self.base = modulus, numbers, base
        self._count = modulus if numbers is None else numbers
        self._places = [1]
        while self._places[0] * base < self._count:
            self._places.insert(0, self._places[0] * base)
        self.input_shape = (2 * len(self._places),)
        self.output_dim, self.vocabulary = modulus, base
        self.population_size = self._count**2

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch"]]:
        """Digits and classes of operands drawn from the counters: one random block for each operand."""
        stream = random.fold(key, "example")[:, None]
        x, z = (random.integers(random.bits(stream, index, block), self._count) for block in (0, 1))
        return self._digits_and_sum(x, z)

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch"]]:
        """Input number x N + z is the pair (x, z)."""
        return self._digits_and_sum(index // self._count, index % self._count)

    def _digits_and_sum(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        digits = [number // place % self.base for number in (x, z) for place in self._places]
        return torch.stack(digits, dim=-1), (x + z) % self.modulus

    def correct(self, outputs: Float[Tensor, "... output"], targets: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Whether the largest logit is the label's."""
        return outputs.argmax(-1) == targets
