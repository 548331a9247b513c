"""Examples of parity as bits, drawn by their counters in C++."""

from __future__ import annotations

import ctypes

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl import native
from svl.native.signs import words_of

_DIGITS = 128  # of a random block


def parity_examples(
    key: Int[Tensor, "replica 2"], mask: Bool[Tensor, "replica dim"], index: Int[Tensor, "replica count"]
) -> tuple[Int32[Tensor, "replica count word"], Float[Tensor, "replica count"]]:
    """The inputs number ``index`` as bits (as :func:`svl.native.signs.encode_signs` makes them) and their labels.

    Args:
        key: of the examples.
        mask: the coordinates whose product is the label.
        index: counters.

    Raises:
        BuildError: if the library cannot be built.
    """
    replicas, dim = mask.shape
    padded = torch.nn.functional.pad(mask, (0, _DIGITS - dim)).view(replicas, -1, 32).long()
    digits = (padded << torch.arange(32)).sum(-1).to(torch.int32).contiguous()
    index, key = index.contiguous(), key.contiguous()
    words = torch.empty(*index.shape, words_of(dim), dtype=torch.int32)
    labels = torch.empty(index.shape)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (key, digits, index, words, labels)]
    count = ctypes.c_int64(index.shape[1])
    native.library("parity").parity_examples(replicas, torch.get_num_threads(), dim, count, *pointers)
    return words, labels
