"""Blocks of Philox by C++, for code that is run operation by operation and not compiled."""

from __future__ import annotations

import ctypes

import torch
from jaxtyping import Int
from torch import Tensor

from svl import native

_MOST_AXES = 16


def _like_first(first: Tensor, *more: Tensor) -> Tensor:
    return first.new_empty(4, *torch.broadcast_shapes(first.shape, *(tensor.shape for tensor in more)))


def _over_batches(info: object, in_dims: tuple[int | None, ...], *words: Tensor) -> tuple[Tensor, int]:
    """Batches are further elements."""
    moved = [w[None] if axis is None else w.movedim(axis, 0) for w, axis in zip(words, in_dims, strict=True)]
    return philox(*moved), 1


@native.operator(
    "philox(Tensor c0, Tensor c1, Tensor c2, Tensor c3, Tensor k0, Tensor k1) -> Tensor", _like_first, _over_batches
)
def philox(*words: Int[Tensor, "*#shape"]) -> Int[Tensor, "4 *shape"]:
    """Four words of random bits for each counter of four words and key of two; all have as many axes."""
    shape = torch.broadcast_shapes(*(word.shape for word in words))
    out = torch.empty(4, *shape, dtype=torch.int64)
    if out.numel():
        expanded = [word.expand(shape)[None] for word in words]
        assert len(shape) < _MOST_AXES
        sizes = (ctypes.c_int64 * (len(shape) + 1))(1, *shape)
        places = (ctypes.c_void_p * len(words))(*(word.data_ptr() for word in expanded))
        strides = [stride for word in expanded for stride in word.stride()]
        native.library("random").philox(
            torch.get_num_threads(), len(sizes), sizes, places, (ctypes.c_int64 * len(strides))(*strides),
            ctypes.c_void_p(out.data_ptr()),
        )  # fmt: skip
    return out
