"""Finds out what a plain network does, by calling it before training: alone as PyTorch does, and as the stack will."""

from __future__ import annotations

import copy
import random as python_random
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad_and_value

from svl.compat.torch import version
from svl.errors import SettingError
from svl.optim.initialisation import kept_generators
from svl.training import contents as held
from svl.training.contents import KEY, Contents
from svl.training.forward import Forward, kernels, read

_RELATIVE, _OF_LARGEST = 2e-3, 1e-4  # what rounding may change


class _Call(NamedTuple):
    """Outputs and gradients ``[replica, ...]`` of a call of every replica, and how many random operations it had."""

    outputs: Tensor
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]
    draws: int


def probe(
    network: nn.Module, name: str, inputs: Tensor, expected: tuple[int, ...], differing: tuple[str, ...]
) -> tuple[Float[Tensor, "replica batch ..."], Contents]:
    """Call a copy of the network and compare: gradients of ``torch.func`` with those of ``backward``.

    Args:
        network: as its constructor left it.
        name: of the network, in errors.
        inputs: of two replicas ``[2, batch, ...]``, whose first example is the same and whose others are not.
        expected: shape of one example's outputs.
        differing: the buffers that differ by seed.

    Returns:
        Its outputs in evaluation mode, and what it holds and does.

    Raises:
        SettingError: for a network that a stack cannot train as PyTorch would.
    """
    frozen = frozenset(key for key, parameter in network.named_parameters() if not parameter.requires_grad)
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    contents = Contents(frozen, held.aliases(network), differing=differing, is_recurrent=is_recurrent)
    with kept_generators(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # training says so too
        try:
            copied = copy.deepcopy(network)
        except Exception as error:
            raise SettingError(KEY, name, f"a network that copy.deepcopy can copy; {why(error)}") from error
        try:
            alone, contents = _alone(copied, name, inputs[0], expected, contents)
            anything = replace(contents, is_random=True, is_random_in_tests=True)
            forward = Forward(copy.deepcopy(network), anything)
            training = _together(forward, inputs, trains=True)
            testing = _together(forward, inputs, trains=False, has_gradients=False)
            moved = Forward(_perturbed(network), anything)
            training_moved = _together(moved, inputs, trains=True, has_gradients=False)
            testing_moved = _together(moved, inputs, trains=False, has_gradients=False)
            call, again = training, None
            if training.draws:
                again = _together(forward, inputs, trains=True).outputs
                call = _together(forward, inputs, trains=False)
                plain = copy.deepcopy(network)
                Forward(plain, contents).set_mode(trains=False)
                with torch.enable_grad():
                    result = plain(inputs[0].clone())
                alone = _gradients(plain, read(result, contents.readout))
        except SettingError:
            raise
        except Exception as error:
            allowed = f"a network for inputs {('batch', *inputs.shape[2:])}; {why(error)}"
            raise SettingError(KEY, name, allowed) from error
    contents = replace(
        contents,
        is_random=training.draws > 0,
        is_random_in_tests=testing.draws > 0,
        mixes_examples=_mixes(training.outputs) or _mixes(training_moved.outputs),
        mixes_tests=_mixes(testing.outputs) or _mixes(testing_moved.outputs),
    )
    for buffer in contents.changing:
        before, after = network.get_buffer(buffer), training.buffers[buffer][0]
        if before.shape != after.shape or before.dtype != after.dtype:
            raise SettingError(KEY, name, f"buffers that keep their shape and type; a call changes those of {buffer}")
    if again is not None and not _close(again, training.outputs):
        _refuse_hidden(name)
    if not call.draws:
        _compare(name, alone, call)
    return testing.outputs, contents


def why(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _alone(
    network: nn.Module, name: str, inputs: Tensor, expected: tuple[int, ...], contents: Contents
) -> tuple[tuple[Tensor, dict[str, Tensor]], Contents]:
    """Outputs and gradients of a call as in PyTorch's own loop, and what it changed."""
    inputs = inputs.clone()
    began, attributes = version(inputs), held.attributes(network)
    parameters, buffers = held.versions(network.named_parameters()), held.versions(network.named_buffers())
    drawn, state = np.random.get_state(), python_random.getstate()  # noqa: NPY002
    with torch.enable_grad():
        result = network(inputs)
    # Two calls that draw can still give the same outputs. (In svl's tests the type checks of its own modules draw too.)
    is_own = any(type(module).__module__.startswith("svl.") for module in network.modules())
    if not held.same(drawn, np.random.get_state()) or not (is_own or state == python_random.getstate()):  # noqa: NPY002
        _refuse_hidden(name)
    after = held.versions(network.named_buffers())
    for parameter, mark in held.versions(network.named_parameters()).items():
        if parameters.get(parameter) != mark:
            allowed = f"a network whose forward changes no parameter, such as max_norm does; it changes {parameter}"
            raise SettingError(KEY, name, allowed)
    called = held.attributes(network)
    _refuse_changed(name, held.changed(attributes, called))
    # BatchNorm writes to its running statistics unnoticed, but it also counts its batches.
    owners = {buffer.rpartition(".")[0] for buffer, mark in buffers.items() if after.get(buffer) != mark}
    contents = replace(
        contents,
        changing=tuple(buffer for buffer in buffers if buffer.rpartition(".")[0] in owners),
        changes_inputs=version(inputs) != began,
        readout=_readout(result, name, (len(inputs), *expected)),
    )
    contents = replace(
        contents, differing=tuple(buffer for buffer in contents.differing if buffer not in contents.changing)
    )
    gradients = _gradients(network, read(result, contents.readout))
    # What the first call has set, the second must leave as it is.
    network(inputs.clone())
    _refuse_changed(name, held.changed(called, held.attributes(network)))
    return gradients, contents


def _refuse_changed(name: str, attribute: str | None) -> None:
    if attribute is not None:
        allowed = f"a network whose forward changes only its buffers; it changes {attribute}: make it a buffer"
        raise SettingError(KEY, name, allowed)


def _perturbed(network: nn.Module) -> nn.Module:
    """A copy with other parameters: those that are 0 at first can hide what a network does."""
    other, generator = copy.deepcopy(network), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))
    return other


def _gradients(network: nn.Module, outputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The outputs, and gradients of a sum of them with respect to the parameters that are trained."""
    parameters = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    if not outputs.requires_grad:
        return outputs, {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    with torch.enable_grad():
        gradients = torch.autograd.grad(_sum(outputs), list(parameters.values()), allow_unused=True)
    return outputs.detach(), {
        name: torch.zeros_like(parameter) if gradient is None else gradient.to_dense()
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }


def _together(forward: Forward, inputs: Tensor, trains: bool, has_gradients: bool = True) -> _Call:
    """A call of two replicas with the same parameters and keys, as the stack will make it."""
    network, contents = forward.network, forward.contents
    stacked = {name: value.expand(2, *value.shape).clone() for name, value in held.tensors(network).items()}
    own = {name: stacked[name] for name in (*contents.changing, *contents.differing)}
    parameters = {name: stacked[name] for name, _ in network.named_parameters()}
    moving = {name: value for name, value in parameters.items() if name not in contents.frozen}
    kept = {name: value for name, value in parameters.items() if name in contents.frozen} | own

    def of_replica(moving: dict[str, Tensor], kept: dict[str, Tensor], inputs: Tensor) -> Any:
        outputs, buffers = forward(moving | kept, inputs)
        return _sum(outputs), (outputs, buffers)

    key = torch.zeros(2, 2, dtype=torch.int64)
    number = torch.zeros((), dtype=torch.int64)
    before = inputs.clone()
    with (
        torch.no_grad(),
        kernels(key.device, contents),
        forward.mode(key, number, number if trains else None) as over,
    ):
        if not has_gradients:
            gradients, buffers, outputs = {}, {}, over(forward.outputs)(moving | kept, before)
        elif moving:
            gradients, (_, (outputs, buffers)) = over(grad_and_value(of_replica, has_aux=True))(moving, kept, before)
        else:
            gradients, (_, (outputs, buffers)) = {}, over(of_replica)(moving, kept, before)
        draws = forward.draws.calls if forward.draws else 0
    if not contents.changes_inputs and not held.same(before, inputs):
        raise RuntimeError("evaluation mode changes the inputs in place, and training mode does not")
    return _Call(outputs.detach(), gradients, buffers, draws)


def _sum(outputs: Tensor) -> Tensor:
    """A sum that no symmetry of the outputs makes zero."""
    weights = torch.cos(torch.arange(outputs.numel(), dtype=outputs.dtype)).view(outputs.shape)
    return (outputs * weights).sum()


def _readout(result: Any, name: str, shape: tuple[int, ...]) -> str | int | None:
    """Where in a call's result the outputs are."""
    if isinstance(result, Tensor):
        return None
    named: Mapping[Any, Any] = result if isinstance(result, Mapping) else {}
    if is_dataclass(result):
        named = {field.name: getattr(result, field.name) for field in fields(result)} | dict(named)
    if isinstance(getattr(result, "logits", named.get("logits")), Tensor):
        return "logits"
    fitting = [key for key, value in named.items() if isinstance(value, Tensor) and value.shape == shape]
    if len(fitting) == 1:
        return str(fitting[0])
    if isinstance(result, tuple | list):
        places = [place for place, part in enumerate(result) if isinstance(part, Tensor) and part.shape == shape]
        if places:
            return places[0]
    kind = type(result).__name__
    allowed = f"a tensor, .logits, or one tensor of shape {('batch', *shape[1:])} in a tuple, mapping or dataclass"
    raise SettingError(KEY, f"{name} that returns {kind}", allowed)


def _mixes(outputs: Tensor) -> bool:
    """Whether the outputs of the first example, which both replicas have, differ."""
    return not _close(outputs[0, 0], outputs[1, 0])


def _close(first: Tensor, second: Tensor, scale: float = 0.0) -> bool:
    """Whether two tensors are equal up to rounding; what is not finite says nothing."""
    if not (first.isfinite().all() and second.isfinite().all()):
        return True
    largest = max(second.abs().max().item(), 1e-6) if second.numel() else 1.0
    limit = _RELATIVE * largest + _OF_LARGEST * scale
    return bool(((first - second).abs() <= limit).all())


def _compare(name: str, alone: tuple[Tensor, dict[str, Tensor]], call: _Call) -> None:
    """Raise :class:`SettingError` unless the stack's outputs and gradients are those of the network alone."""
    outputs, gradients = alone
    if outputs.shape == call.outputs[0].shape and not _close(call.outputs[0], outputs):
        _refuse_hidden(name)
    largest = max((value.abs().max().item() for value in gradients.values() if value.numel()), default=0.0)
    for parameter, gradient in gradients.items():
        if not _close(call.gradients[parameter][0], gradient, largest):
            allowed = f"a network whose gradient by torch.func is that of backward(); that of {parameter} is not"
            raise SettingError(KEY, name, f"{allowed}: is a copy of it kept elsewhere?")


def _refuse_hidden(name: str) -> None:
    allowed = "a network whose outputs depend only on inputs, parameters, buffers and torch's random numbers"
    raise SettingError(KEY, name, f"{allowed}: it has others, or two calls differ")
