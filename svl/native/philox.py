"""Blocks of Philox and Gaussians by C++, for code that is run operation by operation and not compiled."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import native

_MOST_AXES = 16


def _like_first(first: Tensor, *more: Tensor) -> Tensor:
    return first.new_empty(4, *_shape_of(first.shape, *(tensor.shape for tensor in more)))


def _over_batches(info: object, in_dims: tuple[int | None, ...], *words: Tensor) -> tuple[Tensor, int]:
    return philox(*_with_batches(in_dims, words)), 1


def _with_batches(in_dims: Sequence[int | None], words: Sequence[Tensor]) -> list[Tensor]:
    """Batches are further elements, along a first axis."""
    return [w[None] if axis is None else w.movedim(axis, 0) for w, axis in zip(words, in_dims, strict=True)]


@native.operator(
    "philox(Tensor c0, Tensor c1, Tensor c2, Tensor c3, Tensor k0, Tensor k1) -> Tensor", _like_first, _over_batches
)
def philox(*words: Int[Tensor, "*#shape"]) -> Int[Tensor, "4 *shape"]:
    """Four words of random bits for each counter of four words and key of two; all have as many axes."""
    shape = _shape_of(*(word.shape for word in words))
    out = torch.empty(4, *shape, dtype=torch.int64)
    _call("philox", words, shape, out)
    return out


def _like_counters(k0: Tensor, k1: Tensor, index: Tensor, count: int, stream: int) -> Tensor:
    shape = _shape_of(k0.shape, k1.shape, index.shape)
    return index.new_empty(*shape, count, dtype=torch.float32)


def _normals_over_batches(info: object, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Tensor, int]:
    return normals(*_with_batches(in_dims[:3], arguments[:3]), *arguments[3:]), 0


@native.operator(
    "normals(Tensor k0, Tensor k1, Tensor index, int count, int stream) -> Tensor",
    _like_counters,
    _normals_over_batches,
)
def normals(
    k0: Int[Tensor, "*#shape"], k1: Int[Tensor, "*#shape"], index: Int[Tensor, "*#shape"], count: int, stream: int
) -> Float[Tensor, "*shape {count}"]:
    """``count`` standard Gaussians for each key of two words and counter of 64 bits; all have as many axes."""
    shape = _shape_of(k0.shape, k1.shape, index.shape)
    out = torch.empty(*shape, count)
    _call("normals", (k0, k1, index), shape, count, ctypes.c_uint32(stream), out)
    return out


def _shape_of(*shapes: torch.Size) -> torch.Size:
    """That to which shapes of as many axes are broadcast, in a hundredth of the time of ``torch.broadcast_shapes``."""
    return torch.Size(max(sizes) if 0 not in sizes else 0 for sizes in zip(*shapes, strict=True))


def _call(name: str, inputs: Sequence[Tensor], shape: torch.Size, *more: Any) -> None:
    """Call one of the library's functions for inputs that are expanded to a shape."""
    if not math.prod(shape):
        return
    expanded = [word.expand(shape)[None] for word in inputs]
    assert len(shape) < _MOST_AXES
    sizes = (ctypes.c_int64 * (len(shape) + 1))(1, *shape)
    places = (ctypes.c_void_p * len(inputs))(*(word.data_ptr() for word in expanded))
    strides = [stride for word in expanded for stride in word.stride()]
    getattr(native.library("random"), name)(
        torch.get_num_threads(), len(sizes), sizes, places, (ctypes.c_int64 * len(strides))(*strides),
        *(ctypes.c_void_p(each.data_ptr()) if isinstance(each, Tensor) else each for each in more),
    )  # fmt: skip
