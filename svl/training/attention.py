"""Attention under ``torch.func.vmap`` by PyTorch's fused kernels, which take the replicas as a part of the batch.

PyTorch has no rule for the gradient of its fused attention under ``vmap`` and calls it for one replica after the other.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from svl.compat.torch import fused_attention, fused_attention_gradients

_ALIGNED = 8  # numbers of a head, of which the GPU's kernels read several at once


class FoldedAttention(TorchFunctionMode):
    """A context in which ``scaled_dot_product_attention`` is a fused kernel where that can compute it.

    It cannot with a mask other than the causal one, with dropout, or with heads of unequal shapes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and _can_attend(*args, **kwargs):
            return _attend(*args, **kwargs)
        return func(*args, **kwargs)


def _can_attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> bool:
    alike = query.shape == key.shape == value.shape and query.dim() == 4
    return alike and attn_mask is None and dropout_p == 0 and not enable_gqa and query.shape[-1] % _ALIGNED == 0


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        query, key, value = (part.to(torch.get_autocast_dtype(kind)) for part in (query, key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    out: Tensor = _Attention.apply(query, key, value, is_causal, scale)[0]
    return out


class _Attention(torch.autograd.Function):
    """softmax(scale q k^T) v, and the logarithm of each position's sum.

    Queries, keys and values are ``[batch, head, position, number]``.
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, is_causal: bool, scale: float) -> tuple[Tensor, Tensor]:
        return fused_attention(q, k, v, is_causal, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        q, k, v, ctx.is_causal, ctx.scale = inputs
        ctx.save_for_backward(q, k, v, *output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        heads = _Gradients.apply(gradient, *ctx.saved_tensors, ctx.is_causal, ctx.scale)
        return *heads, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, tuple[int, ...]]:
        return _folded(_Attention, info.batch_size, in_dims, arguments, tensors=3)


class _Gradients(torch.autograd.Function):
    """The gradients of :class:`_Attention` with respect to queries, keys and values; they have none of their own."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        return fused_attention_gradients(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise NotImplementedError("attention has no second derivative on a GPU")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, tuple[int, ...]]:
        return _folded(_Gradients, info.batch_size, in_dims, arguments, tensors=6)


def _folded(
    function: Any, replicas: int, in_dims: tuple[int | None, ...], arguments: tuple[Any, ...], tensors: int
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Call a function with ``[replica * batch, ...]`` in place of each replica's ``[batch, ...]``.

    Args:
        function: whose first arguments are tensors.
        replicas: their number.
        in_dims: the axis of the replicas in each argument; ``None`` where all share it.
        arguments: of the function.
        tensors: how many of them are tensors.
    """
    moved = [
        tensor.expand(replicas, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(arguments[:tensors], in_dims[:tensors], strict=True)
    ]
    results = function.apply(*(tensor.flatten(0, 1) for tensor in moved), *arguments[tensors:])
    return tuple(result.unflatten(0, (replicas, -1)) for result in results), (0,) * len(results)
