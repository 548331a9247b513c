"""Examples of parity as bits, drawn by their counters in C++."""

from __future__ import annotations

import ctypes

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl import native
from svl.native.signs import words_of
from svl.native.source import Source

_DIGITS = 128  # of a random block


class _Parity(ctypes.Structure):
    """``Parity`` of parity.cpp."""

    _fields_ = (("key", ctypes.c_void_p), ("mask", ctypes.c_void_p), ("dim", ctypes.c_int32))


def parity_source(key: Int[Tensor, "replica 2"], mask: Bool[Tensor, "replica dim"]) -> Source:
    """Inputs as bits (as :func:`svl.native.signs.encode_signs` makes them) and their labels.

    Args:
        key: of the examples.
        mask: the coordinates whose product is the label.
    """
    replicas, dim = mask.shape
    padded = torch.nn.functional.pad(mask, (0, _DIGITS - dim)).view(replicas, -1, 32).long()
    digits = (padded << torch.arange(32)).sum(-1).to(torch.int32).contiguous()
    key = key.contiguous()
    return Source("parity", _Parity(key.data_ptr(), digits.data_ptr(), dim), (key, digits), has_words=True)


def parity_examples(
    key: Int[Tensor, "replica 2"], mask: Bool[Tensor, "replica dim"], index: Int[Tensor, "replica count"]
) -> tuple[Int32[Tensor, "replica count word"], Float[Tensor, "replica count"]]:
    """What :func:`parity_source` makes of the counters ``index``.

    Raises:
        BuildError: if the library cannot be built.
    """
    source, index = parity_source(key, mask), index.contiguous()
    words = torch.empty(*index.shape, words_of(mask.shape[1]), dtype=torch.int32)
    labels = torch.empty(index.shape)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (index, words, labels)]
    native.library("parity").parity_examples(
        ctypes.byref(source.task), len(index), torch.get_num_threads(), index.shape[1], *pointers
    )
    return words, labels
