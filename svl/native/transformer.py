"""Outputs and gradients of a stack of Transformers in C++."""

from __future__ import annotations

import ctypes
import math
from dataclasses import astuple, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svl import native
from svl.compat.torch import has_hooks
from svl.models.transformer import Transformer
from svl.native.train import LOSSES

CLASSES, DERIVATIVE = 100, 101
READOUTS = {"last": 0, "mean": 1, "all": 2}
QK_NORMS: dict[type[nn.Module], tuple[int, str]] = {
    nn.Identity: (0, "none"),
    nn.LayerNorm: (1, "layer"),
    nn.RMSNorm: (2, "rms"),
}
# Numbers that a thread holds at most, 128 MB, where vectors have 16 lanes.
_LANES, _NUMBERS_HELD = 16, 2**25
_NARROW = 8
_FOR_FEW = (f"LANES_AT_MOST={_NARROW}",)
"""The variant for batches of at most so many sequences."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a Transformer, in the library's order.

    Attributes:
        positions: of a sequence.
        token: numbers of a continuous token.
        vocabulary: number of distinct tokens, 0 if they are continuous.
        width: of the residual stream.
        depth: number of blocks.
        heads: of the attention.
        hidden: units of a feed-forward layer.
        causal: whether positions attend only to themselves and earlier ones.
        qk_norm: one of ``QK_NORMS``.
        readout: one of ``READOUTS``.
        outputs: at each position that is read.
        has_signs: whether every input is -1 or 1, of a network on vectors, whose first block then has two tokens at
            each position.
    """

    positions: int
    token: int
    vocabulary: int
    width: int
    depth: int
    heads: int
    hidden: int
    causal: int
    qk_norm: int
    readout: int
    outputs: int
    has_signs: int = 0

    @classmethod
    def of(cls, network: nn.Module) -> Shape | None:
        """The shape of a plain network; ``None`` unless it is a Transformer of svl as the constructor makes it."""
        if type(network) is not Transformer or any(map(has_hooks, network.modules())):
            return None
        try:
            shape, same = _shape_and_copy(network)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None  # parts were replaced by others
        # Layers can be exchanged, resized, tied, frozen in another type or given a parametrization.
        names = [name for name, _ in network.named_parameters(remove_duplicate=False)]
        sizes = [(name, p.shape, p.dtype) for name, p in network.named_parameters()]
        is_plain = repr(network) == repr(same) and not any(True for _ in network.buffers())
        is_same = sizes == [(name, p.shape, torch.float32) for name, p in same.named_parameters()]
        return shape if is_plain and is_same and len(names) == len(sizes) else None

    @property
    def is_small(self) -> bool:
        """Whether a thread can hold the activations of as many sequences as a vector has lanes."""
        a_block = 7 * self.width + 2 * self.hidden + self.heads * self.positions
        return _LANES * self.positions * self.depth * a_block <= _NUMBERS_HELD

    def read(self, replicas: int, batch: int) -> tuple[int, ...]:
        """The shape of a batch's outputs: replica, batch, position where all are read, output."""
        positions = (self.positions,) if self.readout == READOUTS["all"] else ()
        return replicas, batch, *positions, self.outputs


def _shape_and_copy(network: Transformer) -> tuple[Shape, Transformer]:
    """The shape of a network, and a network that the constructor makes of this shape, without memory."""
    first = network.blocks[0]
    attention: Any = first.attention
    positions, width = network.positions.shape
    vocabulary = network.embed.num_embeddings if isinstance(network.embed, nn.Embedding) else 0
    token = 1 if isinstance(network.embed, nn.Embedding) else network.embed.in_features
    hidden, outputs = int(first.up.out_features), int(network.head.out_features)  # type: ignore[union-attr, arg-type]
    code, qk_norm = QK_NORMS[type(attention.q_norm)]
    with torch.device("meta"):
        same = Transformer(
            (positions,) if vocabulary or network.is_vector else (positions, token),
            outputs,
            vocabulary or None,
            width,
            len(network.blocks),
            attention.heads,
            hidden / width,
            attention.causal,
            qk_norm,  # type: ignore[arg-type]
            network.readout,
        )
    causal, readout = int(attention.causal), READOUTS[network.readout]
    depth, heads = len(network.blocks), attention.heads
    attentions: list[Any] = [block.attention for block in network.blocks]
    is_even = all((part.heads, part.causal) == (heads, attention.causal) for part in attentions)
    if not is_even or network.is_discrete != bool(vocabulary) or (network.is_vector and token > 1):
        raise ValueError("blocks differ")
    return Shape(positions, token, vocabulary, width, depth, heads, hidden, causal, code, readout, outputs), same


def gradients(
    shape: Shape,
    loss: int,
    params: list[Float[Tensor, "replica ..."]],
    inputs: Float[Tensor, "replica batch ..."] | Int[Tensor, "replica batch position"],
    targets: Float[Tensor, "replica batch ..."],
    weights: Float[Tensor, "replica batch ..."] | None,
) -> tuple[Float[Tensor, "replica number"], Float[Tensor, "replica batch ..."]]:
    """Gradients of each replica's weighted sum of losses, parameter after parameter, and the outputs.

    Args:
        shape: of the networks.
        loss: one of ``LOSSES`` for one output; ``CLASSES`` for cross-entropy; ``DERIVATIVE`` for any loss.
        params: all parameters in the network's order.
        inputs: numbers, or discrete tokens (int64).
        targets: at each position that is read; for ``DERIVATIVE`` the loss's derivative with respect to each output.
        weights: of each target; ``None`` for 1 / batch each.
    """
    outputs, row = transformer_gradients(inputs, targets, weights, params, list(astuple(shape)), loss)
    return row, outputs


def outputs(
    shape: Shape, params: list[Float[Tensor, "replica ..."]], inputs: Tensor
) -> Float[Tensor, "replica batch ..."]:
    """Each replica's outputs, as :func:`gradients` returns them."""
    result: Tensor = transformer_outputs(inputs, params, list(astuple(shape)))
    return result


def _like_gradients(
    x: Tensor, y: Tensor, weight: Tensor | None, params: list[Tensor], shape: list[int], loss: int
) -> tuple[Tensor, Tensor]:
    return _like_outputs(x, params, shape), _row(params)


def _like_outputs(x: Tensor, params: list[Tensor], shape: list[int]) -> Tensor:
    return params[0].new_empty(Shape(*shape).read(*x.shape[:2]))


@native.operator(
    "transformer_gradients(Tensor x, Tensor y, Tensor? weight, Tensor[] params, int[] shape, int loss)"
    " -> (Tensor, Tensor)",
    _like_gradients,
)
def transformer_gradients(
    x: Tensor, y: Tensor, weight: Tensor | None, params: list[Tensor], shape: list[int], loss: int
) -> tuple[Tensor, Tensor]:
    """The library's outputs and flat gradients ``[replica, parameters]``."""
    outputs, row = _like_outputs(x, params, shape), _row(params)
    _call(x, y.contiguous(), None if weight is None else weight.contiguous(), params, shape, loss, row, outputs)
    return outputs, row


@native.operator("transformer_outputs(Tensor x, Tensor[] params, int[] shape) -> Tensor", _like_outputs)
def transformer_outputs(x: Tensor, params: list[Tensor], shape: list[int]) -> Tensor:
    """The library's outputs alone."""
    outputs = _like_outputs(x, params, shape)
    _call(x, None, None, params, shape, LOSSES["squared"], None, outputs)
    return outputs


def _row(params: list[Tensor]) -> Float[Tensor, "replica number"]:
    return params[0].new_empty(params[0].shape[0], sum(math.prod(p.shape[1:]) for p in params))


def _call(
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    params: list[Tensor],
    shape: list[int],
    loss: int,
    row: Tensor | None,
    outputs: Tensor,
) -> None:
    x = x.contiguous()
    params = [p if _has_rows(p) else p.contiguous() for p in params]
    _library(x.shape[1]).transformer_gradients(
        len(x),
        (ctypes.c_int32 * len(shape))(*shape),
        torch.get_num_threads(),
        loss,
        x.shape[1],
        (ctypes.c_void_p * len(params))(*(p.data_ptr() for p in params)),
        (ctypes.c_int64 * len(params))(*(p.stride(0) for p in params)),
        *(None if tensor is None else ctypes.c_void_p(tensor.data_ptr()) for tensor in (row, x, y, weight, outputs)),
    )


def _library(sequences: int) -> ctypes.CDLL:
    """The library for batches of a size: each lane of a vector has one sequence, and small batches have few."""
    is_narrow = sequences <= _NARROW and native.has_wide_vectors() and native.is_available("transformer", _FOR_FEW)
    return native.library("transformer", _FOR_FEW if is_narrow else ())


def _has_rows(param: Tensor) -> bool:
    """Whether the numbers of each replica are contiguous; there may be gaps between replicas."""
    *_, step, last = param.stride()
    return last == 1 and (param.dim() == 2 or step == param.shape[2])
