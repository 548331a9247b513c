"""Gradients of a stack of MLPs in one C++ kernel per block, instead of batched matrix products."""
# No postponed annotations here: torch.library reads the custom operator's own.

import ctypes
import math
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl import native
from svl.models.mlp import MLP

ACTIVATIONS = {"relu": 0, "sigmoid": 1, "quadratic": 2, "gelu": 3}
STRIP = 128  # examples whose activations the kernel holds at once
LOSSES = {"logistic": 0, "hinge": 1, "squared": 2, "correlation": 3}


def supports(network: nn.Module, loss: str) -> bool:
    """Whether the kernel computes this network and loss: an MLP with one output."""
    if type(network) is not MLP or network.activation not in ACTIVATIONS or loss not in LOSSES:
        return False
    return bool(network.layers[-1].out_features == 1) and all(p.dtype == torch.float32 for p in network.parameters())


def gradients(
    network: MLP,
    loss: str,
    params: dict[str, Float[Tensor, "replica ..."]],
    inputs: Float[Tensor, "replica batch ..."],
    targets: Float[Tensor, "replica batch"],
    weights: Float[Tensor, "replica batch"] | None,
    has_signs: bool = False,
) -> tuple[Float[Tensor, "replica number"], Float[Tensor, "replica batch"]]:
    """Gradients of each replica's weighted mean loss, parameter after parameter, and the outputs.

    Args:
        network: the plain network, for its shape and activation.
        weights: of each example; ``None`` for 1 / batch each.
        has_signs: whether all inputs are -1 or 1, which takes half the time of the first layer's product.
    """
    codes = ACTIVATIONS[network.activation], LOSSES[loss]
    x = inputs.flatten(2)
    bias = network.layers[0].bias is not None
    outputs, row = mlp_gradients(x, targets, weights, list(params.values()), bias, *codes, has_signs)
    return row, outputs


def population_gradients(
    network: MLP,
    loss: str,
    params: dict[str, Float[Tensor, "replica ..."]],
    high: Float[Tensor, "high second"],
    low: Float[Tensor, "low first"],
    targets: Float[Tensor, "replica high_low"],
) -> tuple[Float[Tensor, "replica number"], Float[Tensor, "replica high_low"]]:
    """:func:`gradients` of the mean over a product of half inputs, for networks with a hidden layer."""
    codes = ACTIVATIONS[network.activation], LOSSES[loss]
    bias = network.layers[0].bias is not None
    outputs, row = mlp_population_gradients(high, low, targets, list(params.values()), bias, *codes)
    return row, outputs


# Spelled out: a function that a type checker has wrapped does not tell its own.
_SCHEMA = (
    "(Tensor x, Tensor y, Tensor? weight, Tensor[] params, bool bias, int activation, int loss, bool has_signs)"
    " -> (Tensor, Tensor)"
)


@torch.library.custom_op("svl::mlp_gradients", mutates_args=(), device_types="cpu", schema=_SCHEMA)
def mlp_gradients(
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    params: list[Tensor],
    bias: bool,
    activation: int,
    loss: int,
    has_signs: bool,
) -> tuple[Tensor, Tensor]:
    """The kernel on float32 tensors: outputs ``[replica, batch]`` and flat gradients ``[replica, parameters]``."""
    replicas, batch, _ = x.shape
    x, y, weight = x.contiguous(), y.contiguous(), None if weight is None else weight.contiguous()
    outputs = torch.empty(replicas, batch)
    flat = _call("mlp_gradients", params, bias, activation, loss, batch, int(has_signs), x, y, weight, outputs)
    return outputs, flat


@mlp_gradients.register_fake
def _(
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    params: list[Tensor],
    bias: bool,
    activation: int,
    loss: int,
    has_signs: bool,
) -> tuple[Tensor, Tensor]:
    count = sum(math.prod(p.shape[1:]) for p in params)
    return x.new_empty(x.shape[:2]), x.new_empty(x.shape[0], count)


_POPULATION_SCHEMA = (
    "(Tensor high, Tensor low, Tensor y, Tensor[] params, bool bias, int activation, int loss) -> (Tensor, Tensor)"
)


@torch.library.custom_op(
    "svl::mlp_population_gradients", mutates_args=(), device_types="cpu", schema=_POPULATION_SCHEMA
)
def mlp_population_gradients(
    high: Tensor, low: Tensor, y: Tensor, params: list[Tensor], bias: bool, activation: int, loss: int
) -> tuple[Tensor, Tensor]:
    """The kernel on a product of half inputs; outputs and gradients as of :func:`mlp_gradients`."""
    outputs, y, high, low = torch.empty(y.shape), y.contiguous(), high.contiguous(), low.contiguous()
    flat = _call(
        "mlp_population_gradients", params, bias, activation, loss, *high.shape, high, *low.shape, low, y, outputs
    )
    return outputs, flat


@mlp_population_gradients.register_fake
def _(
    high: Tensor, low: Tensor, y: Tensor, params: list[Tensor], bias: bool, activation: int, loss: int
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(y), y.new_empty(y.shape[0], sum(math.prod(p.shape[1:]) for p in params))


def _call(
    name: str, params: list[Tensor], bias: bool, activation: int, loss: int, *more: int | Tensor | None
) -> Tensor:
    """Call one of the library's functions; its flat gradients ``[replica, parameters]``."""
    params = [p if p[0].is_contiguous() else p.contiguous() for p in params]
    matrices = params[:: 2 if bias else 1]
    dims = [matrices[0].shape[2], *(m.shape[1] for m in matrices)]
    flat = torch.empty(len(params[0]), _count(dims, bias))
    pointers = [p.data_ptr() for p in params] if bias else [q for p in params for q in (p.data_ptr(), None)]
    strides = [p.stride(0) for p in params] if bias else [q for p in params for q in (p.stride(0), 0)]
    getattr(native.library("mlp"), name)(
        ctypes.c_int64(len(flat)),
        ctypes.c_int(len(dims) - 1),
        (ctypes.c_int32 * len(dims))(*dims),
        ctypes.c_int(activation),
        ctypes.c_int(loss),
        ctypes.c_int(torch.get_num_threads()),
        (ctypes.c_void_p * len(pointers))(*pointers),
        (ctypes.c_int64 * len(strides))(*strides),
        ctypes.c_void_p(flat.data_ptr()),
        *map(_argument, more),
    )
    return flat


def _argument(value: int | Tensor | None) -> Any:
    if isinstance(value, int):
        return ctypes.c_int(value)
    return ctypes.c_void_p(None if value is None else value.data_ptr())


def _count(dims: list[int], bias: bool) -> int:
    return sum(a * b + (b if bias else 0) for a, b in pairwise(dims))
