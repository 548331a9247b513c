"""Training of a stack of MLPs in C++: several optimisation steps of all replicas in one call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl import native

ACTIVATIONS = {"relu": 0, "sigmoid": 1, "quadratic": 2, "gelu": 3}
LOSSES = {"logistic": 0, "hinge": 1, "squared": 2, "correlation": 3}
HYPER = {"sgd": ("lr", "momentum", "weight_decay"), "adamw": ("lr", "beta1", "beta2", "eps", "weight_decay")}
STATES = {"sgd": ("momentum_buffer",), "adamw": ("exp_avg", "exp_avg_sq")}
WORD = 32  # signs in a word
_NUMBERS = max(map(len, HYPER.values()))


@dataclass(frozen=True)
class Batches:
    """The examples of several consecutive steps; each tensor is contiguous within a replica.

    A tensor that all replicas share may be expanded along the first axis.

    Args:
        inputs: numbers; or signs as bits (:func:`encode_signs`).
        targets: of each example.
        weights: of each example in its step's loss; ``None`` for 1 / batch each.
    """

    inputs: Float[Tensor, "replica step batch dim"] | Int32[Tensor, "replica step batch word"]
    targets: Float[Tensor, "replica step batch"]
    weights: Float[Tensor, "replica step batch"] | None = None


@dataclass(frozen=True)
class Record:
    """What is remembered of the training, as in :class:`svl.training.ReplicaStack`; changed in place.

    Args:
        loss: sum over steps of the batch's weighted mean loss.
        correct: the same of 1 for each output that has the sign of its target, else 0.
        steps: how many steps were counted.
        diverged_at: the step at which the loss was not finite, else negative. Such a replica is left as it is.
    """

    loss: Float[Tensor, "replica"]
    correct: Float[Tensor, "replica"]
    steps: Int[Tensor, "replica"]
    diverged_at: Int[Tensor, "replica"]


@dataclass(frozen=True)
class Parameter:
    """One weight or bias of all replicas, with its optimizer's state and hyperparameters.

    Args:
        value: the parameter, contiguous within a replica; changed in place.
        state: the tensors that ``STATES`` names, of the parameter's shape; changed in place.
        hyper: those that ``HYPER`` names, float64.
        frozen: whether the parameter and its state stay as they are.
    """

    value: Float[Tensor, "replica ..."]
    state: dict[str, Tensor]
    hyper: dict[str, Float[Tensor, "replica"]]
    frozen: Bool[Tensor, "replica"] | None = None


def train(
    parameters: Sequence[Parameter],
    batches: Batches,
    record: Record,
    *,
    activation: str,
    loss: str,
    rule: str,
    first_step: int = 0,
    rates: Float[Tensor, "step"] | None = None,
) -> None:
    """Train all replicas for as many steps as there are batches.

    Each step equals ``Step._update`` of the eager stack: the gradient of the weighted mean loss, then the update of
    :class:`svl.optim.SGD` or :class:`svl.optim.AdamW`. The numbers do not depend on the number of threads, which is
    torch's, nor on how many steps one call makes.

    Args:
        parameters: weight ``[replica, out, in]`` and, with biases, bias ``[replica, out]`` of each layer in order; the
            last layer has one output. All layers have a bias or none has.
        batches: on the CPU, as all tensors.
        activation: of the hidden layers, one of ``ACTIVATIONS``.
        loss: one of ``LOSSES``.
        rule: ``"sgd"`` or ``"adamw"``.
        first_step: number of the first step, from 0: AdamW's correction and ``diverged_at`` depend on it.
        rates: factors on the learning rates of each step, float64; ``None`` for 1.

    Raises:
        ValueError: for tensors whose shapes, types or layouts are not those above.
        BuildError: if the library cannot be built.
    """
    for name, value, allowed in (
        ("activation", activation, ACTIVATIONS),
        ("loss", loss, LOSSES),
        ("rule", rule, HYPER),
    ):
        if value not in allowed:
            raise ValueError(f"{name}: got {value}; allowed: {', '.join(allowed)}")
    replicas, steps, size = batches.targets.shape
    bias = len(parameters) > 1 and parameters[1].value.dim() == 2
    layers = parameters[:: 2 if bias else 1]
    dims = [layers[0].value.shape[2], *(layer.value.shape[1] for layer in layers)]
    _check(parameters, batches, record, dims, bias, rule)
    kept: list[Tensor | None] = []
    hyper = torch.zeros(replicas, 2 * len(layers), _NUMBERS, dtype=torch.float64)
    frozen = torch.zeros(replicas, 2 * len(layers), dtype=torch.bool)
    for number, parameter in enumerate(parameters):
        place = number if bias else 2 * number
        kept += [parameter.value, *(parameter.state[name] for name in STATES[rule])]
        kept += [] if bias else [None] * (1 + len(STATES[rule]))
        for column, name in enumerate(HYPER[rule]):
            hyper[:, place, column] = parameter.hyper[name]
        if parameter.frozen is not None:
            frozen[:, place] = parameter.frozen
    rates = torch.ones(steps, dtype=torch.float64) if rates is None else rates.contiguous()
    _check_tensor("rates", rates, (steps,), torch.float64)
    has_signs = batches.inputs.dtype == torch.int32
    words, numbers = (batches.inputs, None) if has_signs else (None, batches.inputs)
    native.library("train").mlp_train(
        replicas,
        len(layers),
        (ctypes.c_int32 * len(dims))(*dims),
        ACTIVATIONS[activation],
        LOSSES[loss],
        tuple(HYPER).index(rule),
        torch.get_num_threads(),
        *_rows(kept),
        _pointer(hyper),
        _pointer(frozen),
        ctypes.c_int64(first_step),
        steps,
        size,
        _pointer(rates),
        *_rows([words, numbers, batches.targets, batches.weights]),
        *map(_pointer, (record.loss, record.correct, record.steps, record.diverged_at)),
    )


def scores(
    values: Sequence[Float[Tensor, "replica ..."]],
    inputs: Float[Tensor, "replica count dim"] | Int32[Tensor, "replica count word"],
    targets: Float[Tensor, "replica count"],
    *,
    activation: str,
    loss: str,
) -> tuple[Float[Tensor, "replica"], Float[Tensor, "replica"]]:
    """Sums over examples of each replica's losses, and of 1 for each output that has the sign of its target.

    Args:
        values: the parameters, as of :func:`train`.
        inputs: numbers; or signs as bits.
        targets: of each example.
        activation: of the hidden layers.
        loss: one of ``LOSSES``.

    Raises:
        BuildError: if the library cannot be built.
    """
    replicas, count = targets.shape
    bias = len(values) > 1 and values[1].dim() == 2
    layers = values[:: 2 if bias else 1]
    dims = [layers[0].shape[2], *(layer.shape[1] for layer in layers)]
    kept: list[Tensor | None] = []
    for value in values:
        kept += [value, None] if bias else [value, None, None, None]
    inputs, targets = inputs.contiguous(), targets.contiguous()
    words, numbers = (inputs, None) if inputs.dtype == torch.int32 else (None, inputs)
    sums = torch.empty(2, replicas)
    native.library("train").mlp_scores(
        replicas,
        len(layers),
        (ctypes.c_int32 * len(dims))(*dims),
        ACTIVATIONS[activation],
        LOSSES[loss],
        torch.get_num_threads(),
        *_rows(kept),
        count,
        *_rows([words, numbers, targets]),
        _pointer(sums[0]),
        _pointer(sums[1]),
    )
    return sums[0], sums[1]


def encode_signs(inputs: Float[Tensor, "... dim"]) -> Int32[Tensor, "... word"]:
    """Inputs that are all -1 or 1 as bits: bit i % 32 of word i // 32 is set where coordinate i is 1."""
    inputs = inputs.contiguous()
    words = inputs.new_empty(*inputs.shape[:-1], words_of(inputs.shape[-1]), dtype=torch.int32)
    count = ctypes.c_int64(inputs.shape[:-1].numel())
    native.library("train").encode_signs(count, inputs.shape[-1], _pointer(inputs), _pointer(words))
    return words


def words_of(dim: int) -> int:
    """How many words the signs of one example fill."""
    return -(-dim // WORD)


def _check(
    parameters: Sequence[Parameter], batches: Batches, record: Record, dims: list[int], bias: bool, rule: str
) -> None:
    """Raise a ValueError for what the library would misread."""
    replicas, steps, size = batches.targets.shape
    tensors: list[tuple[str, Tensor, tuple[int, ...], torch.dtype]] = []
    for number, parameter in enumerate(parameters):
        layer = number // 2 if bias else number
        is_bias = bias and number % 2 == 1
        shape = (replicas, dims[layer + 1], *([] if is_bias else [dims[layer]]))
        tensors.append((f"parameters[{number}].value", parameter.value, shape, torch.float32))
        for name in STATES[rule]:
            tensors.append((f"parameters[{number}].state[{name!r}]", parameter.state[name], shape, torch.float32))
    if (bias and len(parameters) % 2) or dims[-1] != 1:
        raise ValueError(f"parameters: got {[tuple(p.value.shape) for p in parameters]}; allowed: layers to one output")
    is_word = batches.inputs.dtype == torch.int32
    width = words_of(dims[0]) if is_word else dims[0]
    kind = torch.int32 if is_word else torch.float32
    tensors.append(("batches.inputs", batches.inputs, (replicas, steps, size, width), kind))
    tensors.append(("batches.targets", batches.targets, (replicas, steps, size), torch.float32))
    if batches.weights is not None:
        tensors.append(("batches.weights", batches.weights, (replicas, steps, size), torch.float32))
    for name, tensor, shape, dtype in tensors:
        _check_tensor(name, tensor, shape, dtype)
        if not tensor[:1].is_contiguous():
            raise ValueError(f"{name}: got strides {tensor.stride()}; allowed: tensors contiguous within a replica")
    for name, dtype in (("loss", torch.float32), ("correct", torch.float32), ("steps", torch.int64)):
        _check_tensor(f"record.{name}", getattr(record, name), (replicas,), dtype)
    _check_tensor("record.diverged_at", record.diverged_at, (replicas,), torch.int64)


def _check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype or tensor.device.type != "cpu":
        got = f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
        raise ValueError(f"{name}: got {got}; allowed: {dtype} {list(shape)} on cpu")


def _rows(tensors: Sequence[Tensor | None]) -> tuple[ctypes.Array[ctypes.c_void_p], ctypes.Array[ctypes.c_int64]]:
    """Where each tensor begins, null for ``None``, and how many numbers lie between two replicas."""
    places = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    strides = [0 if tensor is None else tensor.stride(0) for tensor in tensors]
    return (ctypes.c_void_p * len(places))(*places), (ctypes.c_int64 * len(strides))(*strides)


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
