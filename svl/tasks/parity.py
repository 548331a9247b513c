"""Sparse and dense parity on the hypercube {-1, 1}^dim."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl import native, random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.native.parity import parity_examples, parity_source
from svl.native.source import Source
from svl.tasks.task import Task

_ENUMERABLE_DIM = 40


class Parity(Task):
    """(dim, degree)-parity: x uniform in {-1, 1}^dim, y the product of the coordinates in the support.

    Source: Liu et al. 2026, section 3; dense parity (degree = dim) in figure 14.

    Args:
        dim: number of coordinates, 1 to 128.
        degree: size of the support, 1 to ``dim``.
        support: ``first``: the first ``degree`` coordinates; ``drawn``: a random support for each seed.

    Raises:
        SettingError: for a ``dim``, ``degree`` or ``support`` out of range.
    """

    def __init__(self, dim: int = 20, degree: int = 6, support: Literal["first", "drawn"] = "first") -> None:
        check_whole("dim", dim, 1, 128, "1 to 128")
        check_whole("degree", degree, 1, dim, f"1 to dim = {dim}")
        if support not in ("first", "drawn"):
            raise SettingError("support", support, "'first' or 'drawn'")
        self.dim, self.degree, self.support = dim, degree, support
        self.input_shape, self.input_law, self.has_teacher = (dim,), "signs", support == "drawn"
        self.population_size = 2**dim if dim <= _ENUMERABLE_DIM else None

    def support_mask(self, key: Int[Tensor, "replica 2"]) -> Bool[Tensor, "replica dim"]:
        """Which coordinates each replica's label depends on."""
        coordinate = torch.arange(self.dim, device=key.device).expand(key.shape[0], -1)
        if self.support == "drawn":
            # The coordinates with the smallest random words are a uniform draw without replacement.
            word = random.bits(random.fold(key, "support")[:, None], coordinate)[0]
            coordinate = word.argsort(dim=-1, stable=True).argsort(dim=-1)
        return coordinate < self.degree

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        """Inputs and labels; one random block of 128 bits holds a whole input."""
        return self._label(key, random.bits(random.fold(key, "example")[:, None], index))

    def sign_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int32[Tensor, "replica batch word"], Float[Tensor, "replica batch"]] | None:
        if not native.is_available("parity"):
            return None
        return parity_examples(random.fold(key, "example"), self.support_mask(key), index)

    def source(self, key: Int[Tensor, "replica 2"]) -> Source | None:
        return parity_source(random.fold(key, "example"), self.support_mask(key))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch {self.dim}"], Float[Tensor, "replica batch"]]:
        """The binary digits of the index are the input: digit 0 stands for +1, digit 1 for -1."""
        return self._label(key, (index & random.MASK32, index >> 32))

    def halves(self, device: torch.device) -> tuple[Float[Tensor, "low first"], Float[Tensor, "high second"]] | None:
        if self.population_size is None:
            return None
        first = -(-self.dim // 2)
        low, high = (
            torch.arange(2**n, device=device)[:, None] >> torch.arange(n, device=device)
            for n in (first, self.dim - first)
        )
        return (1 - 2 * (low & 1)).to(torch.float32), (1 - 2 * (high & 1)).to(torch.float32)

    def labels(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch {self.dim}"],
        index: Int[Tensor, "replica batch"],
    ) -> Float[Tensor, "replica batch"]:
        return torch.where(self.support_mask(key)[:, None], inputs, 1.0).prod(-1)

    def _label(self, key: Tensor, words: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        mask = self.support_mask(key)
        columns, odd = [], torch.zeros_like(words[0])
        for number, word in enumerate(words[: -(-self.dim // 32)]):
            coordinate = torch.arange(min(32, self.dim - 32 * number), device=key.device)
            # 32-bit shifts fill a vector register twice as well as 64-bit ones.
            columns.append((word.to(torch.int32)[..., None] >> coordinate.to(torch.int32)) & 1)
            chosen = mask[:, 32 * number : 32 * (number + 1)]
            odd = odd ^ (word & (chosen.to(torch.int64) << coordinate).sum(1)[:, None])
        # Folding a word onto itself leaves the parity of its digits in the last one.
        for shift in (16, 8, 4, 2, 1):
            odd = odd ^ (odd >> shift)
        bit = torch.cat(columns, dim=-1) if len(columns) > 1 else columns[0]
        return (1 - 2 * bit).to(torch.float32), (1 - 2 * (odd & 1)).to(torch.float32)

    def correct(self, outputs: Float[Tensor, "... output"], targets: Float[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Whether the sign of the output equals the label; an output of exactly 0 counts as wrong."""
        return outputs[..., 0] * targets > 0
