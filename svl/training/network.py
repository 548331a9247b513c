"""Makes one plain network for a task, and checks that it fits the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from svl.compat.jsonargparse import made_by
from svl.compat.torch import BATCH_NORM, pytree
from svl.errors import SettingError
from svl.losses import Loss
from svl.losses.names import LOSSES, name_of
from svl.replicas import replace
from svl.tasks.task import Task

Build = Callable[..., nn.Module]
_KEY = "model.network"


def make(build: Build, task: Task) -> nn.Module:
    """The network for a task's inputs and outputs; a task of discrete tokens also gives its ``vocabulary``.

    Raises:
        SettingError: if it cannot be made.
    """
    tokens = {} if task.vocabulary is None else {"vocabulary": task.vocabulary}
    try:
        return build(task.input_shape, task.output_dim, **tokens)
    except SettingError as error:
        # The task gives the arguments that the network itself is called with.
        place = "data.task" if error.key in ("input_shape", "output_dim", *tokens) else f"{_KEY}.{error.key}"
        raise SettingError(place, error.given, error.allowed) from error
    except Exception as error:
        arguments = ", ".join(["input_shape", "output_dim", *tokens])
        raise SettingError(
            _KEY, _name(build), f"a class that can be built from ({arguments}); {_why(error)}"
        ) from error


def check(build: Build, network: nn.Module, task: Task, loss: Loss) -> tuple[int, list[str]]:
    """Check that a network and a loss fit a task, by calling the network on two examples of two replicas.

    Returns:
        The number of inputs and outputs of one example, and the names of the task's additional metrics.

    Raises:
        SettingError: for a network, a readout or a loss that does not fit the task.
    """
    task_name, network_name = type(task).__name__, _name(build)
    if not loss.fits(task):
        fitting = ", ".join(known for known, kind in LOSSES.items() if kind().fits(task))
        allowed = f"{fitting or 'a loss of your own'} (for {task_name})"
        raise SettingError("model.loss", name_of(type(loss)), allowed)
    for module in network.modules():
        if isinstance(module, BATCH_NORM) and module.track_running_stats:
            allowed = (
                f"networks without running statistics, which {type(module).__name__} has: use LayerNorm or GroupNorm"
            )
            raise SettingError(_KEY, network_name, allowed)
    key = torch.zeros(2, 2, dtype=torch.int64)
    inputs, targets = task.examples(key, torch.arange(2).expand(2, -1))
    params = {n: p.detach().expand(2, *p.shape) for n, p in network.named_parameters()}

    def forward(params: dict[str, Tensor], inputs: Tensor) -> Any:
        return functional_call(network, params, (inputs,))

    try:
        with torch.no_grad(), attention(key.device):
            outputs = vmap(forward)(params, inputs)
            shape = tuple(outputs.shape[2:])
    except Exception as error:
        arguments = f"inputs {tuple(inputs.shape[1:])}, batch first"
        allowed = f"a network for {arguments}, without randomness such as dropout; {_why(error)}"
        raise SettingError(_KEY, network_name, allowed) from error
    expected = (*((task.input_shape[0],) if task.per_position else ()), task.output_dim)
    if shape != expected:
        allowed = f"a network whose outputs have shape {('batch', *expected)}"
        if task.per_position:
            allowed += f": {task_name} has a target at each position; readout: all gives one output for each"
        raise SettingError(_KEY, f"{network_name} with outputs {('batch', *shape)}", allowed)
    return inputs[0, 0].numel() + outputs[0, 0].numel(), list(task.measures(outputs[0], targets[0]))


def check_losses(task: Task, name: str, values: Iterable[Any], loss: Loss) -> None:
    """Raise :class:`SettingError` unless the loss fits the task at every value of its setting ``name``."""
    for value in values:
        if not loss.fits(replace(task, **{name: value})):
            raise SettingError(f"data.task.{name}", value, f"values that the loss {name_of(type(loss))} fits")


def activations(network: nn.Module, task: Task) -> int:
    """How many numbers a network's modules return for one example, which a step must keep in memory."""
    inputs, _ = task.examples(torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 1, dtype=torch.int64))
    sizes: list[int] = []

    def count(module: nn.Module, arguments: Any, outputs: Any) -> None:
        sizes.append(sum(leaf.numel() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(inputs[0].to(next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return sum(sizes)


def attention(device: torch.device) -> Any:
    """A context with the attention kernels to use inside vmap: on a CPU the fused one would run replica by replica."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fused = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION] if device.type == "cuda" else []
    return sdpa_kernel([*fused, SDPBackend.MATH])


def _name(build: Any) -> str:
    """The name of the network's class or function."""
    return getattr(made_by(build), "__name__", str(build))


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
