"""What the training loop in C++ is given: networks, optimizer states, examples and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl.native.signs import words_of
from svl.native.source import Source

ACTIVATIONS = ("relu", "sigmoid", "quadratic", "gelu")
LOSSES = {"logistic": 0, "hinge": 1, "squared": 2, "correlation": 3, "cross_entropy": 4}
CORRECT = {"uncounted": 0, "counted": 1, "undefined": 2}
HYPER = {"sgd": ("lr", "momentum", "weight_decay"), "adamw": ("lr", "beta1", "beta2", "eps", "weight_decay")}
STATES = {"sgd": ("momentum_buffer",), "adamw": ("exp_avg", "exp_avg_sq")}


@dataclass(frozen=True)
class Kind:
    """What a call trains.

    Args:
        activation: of the hidden layers, one of ``ACTIVATIONS``.
        loss: one of ``LOSSES``; with several outputs, ``squared`` or ``cross_entropy``.
        rule: ``"sgd"`` or ``"adamw"``.
        correct: ``counted`` where an output has the sign of its target, or is the first of the largest at its class;
            ``undefined`` (NaN) for a task without accuracy; ``uncounted`` to leave the record of it as it is.
        class_weights: of the cross-entropy; ``None`` for ones.
        is_set: whether all steps of a call have the same examples, as full batches do. What is known of them is then
            found out once. It is fastest in the order of :func:`~svl.native.signs.order_of_signs`.
    """

    activation: str
    loss: str
    rule: str
    correct: str = "counted"
    class_weights: Float[Tensor, "output"] | None = None
    is_set: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("activation", ACTIVATIONS),
            ("loss", LOSSES),
            ("rule", HYPER),
            ("correct", CORRECT),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}: got {value}; allowed: {', '.join(allowed)}")


@dataclass(frozen=True)
class Batches:
    """The examples of several consecutive steps; each tensor is contiguous within a replica and a step.

    A tensor that replicas or steps share may be expanded along these axes.

    Args:
        inputs: numbers; or signs as bits (:func:`~svl.native.signs.encode_signs`); or counters for the source.
        targets: of each example: a number, the number of a class, or a number for each of several outputs; with a
            source ``None``.
        weights: of each example in its step's loss; ``None`` for 1 / batch each.
        has_signs: whether all numbers are -1 or 1: then the first layer is looked up instead of multiplied.
        outputs: where the outputs are written to; ``None`` for nowhere.
        source: makes inputs and targets, if these are not given.
    """

    inputs: Float[Tensor, "replica step batch dim"] | Int32[Tensor, "replica step batch word"] | Int[Tensor, "..."]
    targets: Float[Tensor, "replica step batch *output"] | None
    weights: Float[Tensor, "replica step batch"] | None = None
    has_signs: bool = False
    outputs: Float[Tensor, "replica step batch output"] | None = None
    source: Source | None = None

    @property
    def rows(self) -> torch.Size:
        """Replicas, steps and examples of a step."""
        return self.inputs.shape[:3]

    @property
    def parts(self) -> list[Tensor | None]:
        """The tensors in the library's order."""
        if self.source:
            return [None, None, None, self.weights, self.outputs, self.inputs]
        words, numbers = (self.inputs, None) if self.has_words else (None, self.inputs)
        return [words, numbers, self.targets, self.weights, self.outputs, None]

    @property
    def has_words(self) -> bool:
        """Whether inputs are signs as bits."""
        return self.source.has_words if self.source else self.inputs.dtype == torch.int32


@dataclass(frozen=True)
class Record:
    """What is remembered of the training, as in :class:`svl.training.ReplicaStack`; changed in place.

    Args:
        loss: sum over steps of the batch's weighted mean loss.
        correct: the same of 1 for each output that is correct, else 0.
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
    state: Mapping[str, Tensor]
    hyper: Mapping[str, Float[Tensor, "replica"]]
    frozen: Bool[Tensor, "replica"] | None = None


@dataclass(frozen=True)
class Steps:
    """Which steps are taken.

    Args:
        first: number of the first one, from 0: AdamW's correction and ``diverged_at`` depend on it.
        rates: factors on the learning rates of each, float64; ``None`` for 1.
        begins: each replica's first step, counted from the first of the call; ``None`` for 0.
        ends: where each replica stops; ``None`` for behind the last.
        correct: where the accuracy of each step is written to, also of replicas that have diverged; ``None`` for
            nowhere.
    """

    first: int = 0
    rates: Float[Tensor, "step"] | None = None
    begins: Int[Tensor, "replica"] | None = None
    ends: Int[Tensor, "replica"] | None = None
    correct: Float[Tensor, "replica step"] | None = None


def shape_of(values: Sequence[Tensor]) -> tuple[list[int], bool]:
    """Widths of the layers, the input's first, and whether they have biases."""
    bias = len(values) > 1 and values[1].dim() == 2
    layers = values[:: 2 if bias else 1]
    return [layers[0].shape[2], *(layer.shape[1] for layer in layers)], bias


def check(parameters: Sequence[Parameter], batches: Batches, record: Record, kind: Kind, steps: Steps) -> None:
    """Raise a ValueError for what the library would misread."""
    dims, bias = shape_of([parameter.value for parameter in parameters])
    rows = batches.rows
    tensors: list[tuple[str, Tensor | None, tuple[int, ...], torch.dtype]] = []
    for number, parameter in enumerate(parameters):
        layer = number // 2 if bias else number
        shape = (rows[0], dims[layer + 1], *([] if bias and number % 2 else [dims[layer]]))
        tensors.append((f"parameters[{number}].value", parameter.value, shape, torch.float32))
        for name in STATES[kind.rule]:
            tensors.append((f"parameters[{number}].state[{name!r}]", parameter.state[name], shape, torch.float32))
    has_several = dims[-1] > 1
    allowed = ("squared", "cross_entropy") if has_several else tuple(loss for loss in LOSSES if loss != "cross_entropy")
    if (bias and len(parameters) % 2) or kind.loss not in allowed:
        shapes = [tuple(parameter.value.shape) for parameter in parameters]
        raise ValueError(
            f"parameters: got {shapes} with the loss {kind.loss}; allowed: layers to one output, or {allowed}"
        )
    width, number_type = (words_of(dims[0]), torch.int32) if batches.has_words else (dims[0], torch.float32)
    inputs = ((*rows, width), number_type) if batches.source is None else (rows, torch.int64)
    if (batches.targets is None) is (batches.source is None):
        raise ValueError(f"batches.targets: got {batches.targets}; allowed: a tensor, or None with a source")
    targets = (*rows, dims[-1]) if has_several and kind.loss == "squared" else rows
    tensors += [
        ("batches.inputs", batches.inputs, *inputs),
        ("batches.targets", batches.targets, targets, torch.float32),
        ("batches.weights", batches.weights, rows, torch.float32),
        ("batches.outputs", batches.outputs, (*rows, dims[-1]), torch.float32),
        ("class_weights", kind.class_weights, (dims[-1],), torch.float32),
    ]
    for name, tensor, shape, dtype in tensors:
        if tensor is None:
            continue
        _check_tensor(name, tensor, shape, dtype)
        inner = tensor[:1, :1] if name.startswith("batches") else tensor[:1]
        if not inner.is_contiguous():
            raise ValueError(f"{name}: got strides {tensor.stride()}; allowed: tensors contiguous within a replica")
    for name, dtype in (("loss", torch.float32), ("correct", torch.float32), ("steps", torch.int64)):
        _check_tensor(f"record.{name}", getattr(record, name), rows[:1], dtype)
    _check_tensor("record.diverged_at", record.diverged_at, rows[:1], torch.int64)
    for name, tensor, shape, dtype in (
        ("rates", steps.rates, rows[1:2], torch.float64),
        ("begins", steps.begins, rows[:1], torch.int64),
        ("ends", steps.ends, rows[:1], torch.int64),
        ("correct", steps.correct, rows[:2], torch.float32),
    ):
        if tensor is not None:
            _check_tensor(name, tensor, shape, dtype)


def _check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype or tensor.device.type != "cpu":
        got = f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
        raise ValueError(f"{name}: got {got}; allowed: {dtype} {list(shape)} on cpu")
