"""Inputs that are all -1 or 1 as bits, one word for 32 coordinates."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int32
from torch import Tensor

WORD = 32  # signs in a word


def encode_signs(inputs: Float[Tensor, "... dim"]) -> Int32[Tensor, "... word"]:
    """Inputs that are all -1 or 1 as bits: bit i % 32 of word i // 32 is set where coordinate i is 1."""
    bits = torch.nn.functional.pad(inputs > 0, (0, -inputs.shape[-1] % WORD)).unflatten(-1, (-1, WORD))
    return (bits.to(torch.int64) << torch.arange(WORD)).sum(-1).to(torch.int32)


def words_of(dim: int) -> int:
    """How many words the signs of one example fill."""
    return -(-dim // WORD)
