"""Inputs that are all -1 or 1 as bits, one word for 32 coordinates."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

WORD = 32  # signs in a word


def encode_signs(inputs: Float[Tensor, "... dim"]) -> Int32[Tensor, "... word"]:
    """Inputs that are all -1 or 1 as bits: bit i % 32 of word i // 32 is set where coordinate i is 1."""
    bits = torch.nn.functional.pad(inputs > 0, (0, -inputs.shape[-1] % WORD)).unflatten(-1, (-1, WORD))
    return (bits.to(torch.int64) << torch.arange(WORD)).sum(-1).to(torch.int32)


def order_of_signs(words: Int32[Tensor, "... example word"]) -> Int[Tensor, "... example"]:
    """The order in which neighbours have many first coordinates in common: that of the first one, then the second, ...

    Coordinates behind the first word's are not looked at.
    """
    first = words[..., 0].to(torch.int64)
    reversed_bits = torch.zeros_like(first)
    for bit in range(WORD):
        reversed_bits |= (first >> bit & 1) << (WORD - 1 - bit)
    return reversed_bits.argsort(dim=-1, stable=True)


def words_of(dim: int) -> int:
    """How many words the signs of one example fill."""
    return -(-dim // WORD)
