"""Gradients and outputs of a stack of MLPs by one call of a C++ kernel, instead of batched matrix products."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import vmap

from svl import native
from svl.data.draw import Draw, MicroBatch
from svl.losses import Correlation, Hinge, Logistic, Loss, Squared
from svl.losses.names import name_of
from svl.models.mlp import MLP
from svl.native import arguments
from svl.native.arguments import ACTIVATIONS
from svl.training.contents import is_plain
from svl.training.routes.autograd import Autograd
from svl.training.routes.route import BatchRoute, Gradients, Tensors
from svl.training.spec import StackSpec

STRIP = 128  # examples whose activations the kernel holds at once
LOSSES: dict[type[Loss], int] = {
    kind: arguments.LOSSES[name_of(kind)] for kind in (Logistic, Hinge, Squared, Correlation)
}


class MLPKernel(BatchRoute):
    """The kernel of :mod:`svl.native` for MLPs with one output."""

    name = "C++ kernel"
    word = "kernel"
    for_long_fits = True

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        network: Any = spec.network
        # A fit that takes the loop calls the kernel only to measure gradients, if at all: then it is built, or autograd
        # computes them.
        if (obstacle := cls.misfit(spec, device)) or native.has_built("train"):
            return obstacle
        is_there = native.is_available("mlp", variant(network.activation))
        return None if is_there else "it could not be built by a C++ compiler"

    @classmethod
    def misfit(cls, spec: StackSpec, device: torch.device) -> str | None:
        """Why it does not compute a fit, whether or not it can be built; ``None`` if it does."""
        if spec.data.streams:
            return "parameter groups with data streams take their gradients from batches of their own"
        if spec.sampler:
            return "an intervention needs the samples' own gradients"
        if not spec.execution.fused:
            return "model.fused is false"
        if spec.execution.precision != "32-true":
            return f"it computes in float32, and model.precision is {spec.execution.precision}"
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}"
        if not supports(spec.network, spec.objective.loss):
            losses, activations = ", ".join(map(name_of, LOSSES)), ", ".join(ACTIVATIONS)
            return f"it computes MLPs with one output, activations {activations} and losses {losses}"
        return None

    def of_batch(self, tensors: Tensors, batch: MicroBatch, draw: Draw) -> Gradients:
        network: Any = self.spec.network
        if not native.is_available("mlp", variant(network.activation)):
            return Autograd(self.spec).of_batch(tensors, batch, draw)
        unpacked, loss = self.spec.packing.unpack(tensors["params"]), self.spec.objective.loss
        row, outputs = gradients(network, loss, unpacked, *batch, self.spec.has_signs)
        in_dims = (0, 0, None if batch.weights is None else 0)
        means = vmap(self.spec.objective.mean, in_dims)(outputs[..., None], batch.targets, batch.weights)
        return Gradients(self.spec.packing.pack_row(row), *means)

    def outputs(self, tensors: Tensors, inputs: Tensor, start: Int[Tensor, ""]) -> Float[Tensor, "replica batch ..."]:
        network: Any = self.spec.network
        if not native.is_available("mlp", variant(network.activation)):
            return Autograd(self.spec).outputs(tensors, inputs, start)
        return outputs(network, self.spec.packing.unpack(tensors["params"]), inputs, self.spec.has_signs)[..., None]


def supports(network: nn.Module, loss: Loss) -> bool:
    """Whether the kernel computes this network and loss: an MLP with one output."""
    if type(network) is not MLP or network.activation not in ACTIVATIONS or type(loss) not in LOSSES:
        return False
    layers: Any = network.layers
    is_float32 = all(p.dtype == torch.float32 for p in network.parameters())
    return is_plain(layers, network) and bool(layers[-1].out_features == 1) and is_float32


def variant(activation: str) -> tuple[str, ...]:
    """The library's macros for an activation."""
    return (f"SVL_ACTIVATION={activation.upper()}",)


def gradients(
    network: MLP,
    loss: Loss,
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
        has_signs: whether all inputs are -1 or 1: then the first layer is looked up instead of multiplied.
    """
    codes = ACTIVATIONS.index(network.activation), LOSSES[type(loss)]
    x = inputs.flatten(2)
    bias = network.layers[0].bias is not None
    outputs, row = mlp_gradients(x, targets, weights, list(params.values()), bias, *codes, has_signs)
    return row, outputs


def outputs(
    network: MLP,
    params: dict[str, Float[Tensor, "replica ..."]],
    inputs: Float[Tensor, "replica batch ..."],
    has_signs: bool = False,
) -> Float[Tensor, "replica batch"]:
    """Each replica's outputs, as :func:`gradients` returns them."""
    bias = network.layers[0].bias is not None
    result: Tensor = mlp_outputs(
        inputs.flatten(2), list(params.values()), bias, ACTIVATIONS.index(network.activation), has_signs
    )
    return result


def population_gradients(
    network: MLP,
    loss: Loss,
    params: dict[str, Float[Tensor, "replica ..."]],
    high: Float[Tensor, "high second"],
    low: Float[Tensor, "low first"],
    targets: Float[Tensor, "replica high_low"],
) -> tuple[Float[Tensor, "replica number"], Float[Tensor, "replica high_low"]]:
    """The same as :func:`gradients` for all inputs of a population that is a product, each with the same weight.

    Args:
        network: the plain network, which needs a hidden layer.
        high: half inputs, each of which is combined with every half input in ``low``.
        low: the other half inputs.
    """
    codes = ACTIVATIONS.index(network.activation), LOSSES[type(loss)]
    bias = network.layers[0].bias is not None
    outputs, row = mlp_population_gradients(high, low, targets, list(params.values()), bias, *codes)
    return row, outputs


def _like_batch(x: Tensor, y: Tensor, weight: Tensor | None, params: list[Tensor], *more: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(y, memory_format=torch.contiguous_format), _row(params)


@native.operator(
    "mlp_gradients(Tensor x, Tensor y, Tensor? weight, Tensor[] params, bool bias, int activation, int loss,"
    " bool has_signs) -> (Tensor, Tensor)",
    _like_batch,
)
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
    x, y, weight = x.contiguous(), y.contiguous(), None if weight is None else weight.contiguous()
    outputs, row = torch.empty_like(y), _row(params)
    _call("mlp_gradients", row, params, bias, activation, loss, y.shape[1], has_signs, x, y, weight, outputs)
    return outputs, row


def _like_rows(x: Tensor, *more: Any) -> Tensor:
    return x.new_empty(x.shape[:2])


@native.operator(
    "mlp_outputs(Tensor x, Tensor[] params, bool bias, int activation, bool has_signs) -> Tensor", _like_rows
)
def mlp_outputs(x: Tensor, params: list[Tensor], bias: bool, activation: int, has_signs: bool) -> Tensor:
    """The kernel's outputs ``[replica, batch]`` on float32 tensors."""
    x, outputs = x.contiguous(), x.new_empty(x.shape[:2])
    _call("mlp_outputs", None, params, bias, activation, 0, x.shape[1], has_signs, x, outputs)
    return outputs


def _like_population(high: Tensor, low: Tensor, y: Tensor, params: list[Tensor], *more: int) -> tuple[Tensor, Tensor]:
    return _like_batch(high, y, None, params)


@native.operator(
    "mlp_population_gradients(Tensor high, Tensor low, Tensor y, Tensor[] params, bool bias, int activation, int loss)"
    " -> (Tensor, Tensor)",
    _like_population,
)
def mlp_population_gradients(
    high: Tensor, low: Tensor, y: Tensor, params: list[Tensor], bias: bool, activation: int, loss: int
) -> tuple[Tensor, Tensor]:
    """The kernel on a product of half inputs; it returns what :func:`mlp_gradients` returns."""
    high, low, y = high.contiguous(), low.contiguous(), y.contiguous()
    outputs, row = torch.empty_like(y), _row(params)
    more = (*high.shape, high, *low.shape, low, y, outputs)
    _call("mlp_population_gradients", row, params, bias, activation, loss, *more)
    return outputs, row


def _row(params: list[Tensor]) -> Float[Tensor, "replica number"]:
    return params[0].new_empty(params[0].shape[0], sum(math.prod(p.shape[1:]) for p in params))


def _call(
    name: str,
    row: Tensor | None,
    params: list[Tensor],
    bias: bool,
    activation: int,
    loss: int,
    *more: int | Tensor | None,
) -> None:
    """Call one of the library's functions, which writes gradients to ``row``."""
    params = [p if _has_rows(p) else p.contiguous() for p in params]
    matrices = params[:: 2 if bias else 1]
    dims = [matrices[0].shape[2], *(m.shape[1] for m in matrices)]
    places: list[tuple[int | None, int]] = [(p.data_ptr(), p.stride(0)) for p in params]
    if not bias:
        places = [place for weight in places for place in (weight, (None, 0))]
    library = "population" if name == "mlp_population_gradients" else "mlp"
    getattr(native.library(library, variant(ACTIVATIONS[activation])), name)(
        len(params[0]),
        len(matrices),
        (ctypes.c_int32 * len(dims))(*dims),
        loss,
        torch.get_num_threads(),
        (ctypes.c_void_p * len(places))(*(pointer for pointer, _ in places)),
        (ctypes.c_int64 * len(places))(*(stride for _, stride in places)),
        _argument(row),
        *map(_argument, more),
    )


def _has_rows(param: Tensor) -> bool:
    """Whether the numbers of each replica are contiguous; there may be gaps between replicas."""
    *_, step, last = param.stride()
    return last == 1 and (param.dim() == 2 or step == param.shape[2])


def _argument(value: int | Tensor | None) -> Any:
    return ctypes.c_void_p(value.data_ptr()) if isinstance(value, Tensor) else value
