"""Training of a stack of MLPs in C++: several optimisation steps of all replicas in one call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from svl import native
from svl.native.arguments import (
    CORRECT,
    HYPER,
    LOSSES,
    STATES,
    Batches,
    Kind,
    Parameter,
    Record,
    Steps,
    check,
    shape_of,
)

_NUMBERS = max(map(len, HYPER.values()))
_EXAMPLES = ("words", "numbers", "targets", "weights", "outputs", "counters")


class _Job(ctypes.Structure):
    """``Job`` of train.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("replicas", "layers", "loss", "correct")),
        *((name, ctypes.c_int32) for name in ("threads", "steps", "batch", "has_signs", "has_words")),
        *((name, ctypes.c_void_p) for name in ("make", "task")),
        *((name, ctypes.c_void_p) for name in ("dims", "kept", "kept_strides", "class_weight", "examples", "strides")),
        *((name, ctypes.c_void_p) for name in ("step_strides", "numbers", "rates", "frozen")),
        ("first_step", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("begins", "ends", "loss_sum", "correct_sum", "correct_of_step")),
        *((name, ctypes.c_void_p) for name in ("counted", "diverged_at")),
    )


def train(
    parameters: Sequence[Parameter], batches: Batches, record: Record, kind: Kind, steps: Steps | None = None
) -> None:
    """Train all replicas for as many steps as there are batches.

    Each step equals ``Step._update`` of the eager stack: the gradient of the weighted mean loss, then the update of
    :class:`svl.optim.SGD` or :class:`svl.optim.AdamW`. The numbers do not depend on the number of threads, which is
    torch's, nor on how many steps one call makes.

    Args:
        parameters: weight ``[replica, out, in]`` and, with biases, bias ``[replica, out]`` of each layer in order. All
            layers have a bias or none has.
        batches: on the CPU, as all tensors.
        record: of the training so far.
        kind: of the network, the loss and the optimizer.
        steps: which are taken; by default all, from step 0.

    Raises:
        ValueError: for tensors whose shapes, types or layouts are not those above.
        BuildError: if the library cannot be built.
    """
    steps = steps or Steps()
    values = [parameter.value for parameter in parameters]
    dims, bias = shape_of(values)
    check(parameters, batches, record, kind, steps)
    replicas, count, _ = batches.rows
    layers, rule = len(dims) - 1, kind.rule
    kept: list[Tensor | None] = []
    hyper = torch.zeros(replicas, 2 * layers, _NUMBERS, dtype=torch.float64)
    frozen = torch.zeros(replicas, 2 * layers, dtype=torch.bool)
    for number, parameter in enumerate(parameters):
        place = number if bias else 2 * number
        kept += [parameter.value, *(parameter.state[name] for name in STATES[rule])]
        kept += [] if bias else [None] * (1 + len(STATES[rule]))
        for column, name in enumerate(HYPER[rule]):
            hyper[:, place, column] = parameter.hyper[name]
        if parameter.frozen is not None:
            frozen[:, place] = parameter.frozen
    rates = torch.ones(count, dtype=torch.float64) if steps.rates is None else steps.rates.contiguous()
    job, alive = _job(kept, batches, kind, dims)
    job.numbers, job.rates, job.frozen = hyper.data_ptr(), rates.data_ptr(), frozen.data_ptr()
    job.first_step = steps.first
    ranges = [None if bound is None else bound.contiguous() for bound in (steps.begins, steps.ends)]
    job.begins, job.ends, job.correct_of_step = map(_pointer, (*ranges, steps.correct))
    job.loss_sum, job.correct_sum, job.counted, job.diverged_at = map(
        _pointer, (record.loss, record.correct, record.steps, record.diverged_at)
    )
    variant(kind, dims, batches.has_signs, batches.has_words).mlp_train(ctypes.byref(job))
    del alive


def scores(
    values: Sequence[Float[Tensor, "replica ..."]], batches: Batches, kind: Kind
) -> tuple[Float[Tensor, "replica"], Float[Tensor, "replica"]]:
    """Sums over examples of each replica's losses, and of 1 for each correct output.

    Args:
        values: the parameters, as of :func:`train`.
        batches: the examples, all in one step; without weights.
        kind: of the network and the loss; the optimizer says which library is used.

    Raises:
        BuildError: if the library cannot be built.
    """
    dims, bias = shape_of(values)
    absent = [None] * len(STATES[kind.rule])
    kept: list[Tensor | None] = []
    for value in values:
        kept += [value, *absent]
        kept += [] if bias else [None, *absent]
    job, alive = _job(kept, batches, kind, dims)
    sums = torch.empty(2, len(batches.inputs))
    job.loss_sum, job.correct_sum = sums[0].data_ptr(), sums[1].data_ptr()
    variant(kind, dims, batches.has_signs, batches.has_words).mlp_scores(ctypes.byref(job))
    del alive
    return sums[0], sums[1]


def variant(kind: Kind, dims: Sequence[int], has_signs: bool, has_words: bool) -> ctypes.CDLL:
    """The library that has the code for a fit, which is built at the first call.

    Args:
        kind: of the network, the loss and the optimizer.
        dims: widths of its layers, the input's first.
        has_signs: whether inputs are signs.
        has_words: whether they are signs as bits.

    Raises:
        BuildError: if it cannot be built.
    """
    has_sums = is_shallow(kind, dims) and (has_signs or has_words)
    shallow = 0 if not has_sums else 2 if kind.is_set and has_words else 1
    macros = {"ACTIVATION": kind.activation.upper(), "RULE": kind.rule.upper(), "SHALLOW": shallow}
    return native.library("train", tuple(f"SVL_{name}={value}" for name, value in macros.items()))


def is_shallow(kind: Kind, dims: Sequence[int]) -> bool:
    """Whether a network has one hidden ReLU layer and one output, so that on signs its gradients follow from sums."""
    return kind.activation == "relu" and len(dims) == 3 and dims[-1] == 1


def _job(kept: list[Tensor | None], batches: Batches, kind: Kind, dims: list[int]) -> tuple[_Job, list[object]]:
    """What both functions are given, and what must stay in memory during the call."""
    replicas, count, size = batches.rows
    places = (ctypes.c_void_p * len(kept))(*(None if part is None else part.data_ptr() for part in kept))
    strides = (ctypes.c_int64 * len(kept))(*(0 if part is None else part.stride(0) for part in kept))
    examples = (ctypes.c_void_p * len(_EXAMPLES))(*map(_pointer, batches.parts))
    of_replica, of_step = (
        (ctypes.c_int64 * len(_EXAMPLES))(*(0 if part is None else part.stride(axis) for part in batches.parts))
        for axis in (0, 1)
    )
    widths = (ctypes.c_int32 * len(dims))(*dims)
    weights = None if kind.class_weights is None else kind.class_weights.contiguous()
    job = _Job(
        replicas=replicas,
        layers=len(dims) - 1,
        loss=LOSSES[kind.loss],
        correct=CORRECT[kind.correct],
        threads=torch.get_num_threads(),
        steps=count,
        batch=size,
        has_signs=batches.has_words or batches.has_signs,
        has_words=batches.has_words,
        make=batches.source and batches.source.function,
        task=batches.source and ctypes.addressof(batches.source.task),
        class_weight=_pointer(weights),
    )
    arrays: dict[str, ctypes.Array[Any]] = {
        "dims": widths,
        "kept": places,
        "kept_strides": strides,
        "examples": examples,
    }
    arrays |= {"strides": of_replica, "step_strides": of_step}
    for name, array in arrays.items():
        setattr(job, name, ctypes.addressof(array))
    return job, [*arrays.values(), weights]


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
