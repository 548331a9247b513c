"""Makes one plain network for a task, and checks that it fits the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from svl.compat.jsonargparse import made_by
from svl.compat.torch import pytree
from svl.errors import SettingError
from svl.losses import Loss
from svl.losses.fitting import check_loss
from svl.losses.names import name_of
from svl.optim.initialisation import kept_generators
from svl.replicas import replace as replace_setting
from svl.tasks.task import Task
from svl.training.contents import KEY, Contents, check_tensors
from svl.training.forward import Forward, kernels
from svl.training.probing import probe, why

Build = Callable[..., nn.Module]


def make(build: Build, task: Task) -> nn.Module:
    """The network for a task's inputs and outputs; a task of discrete tokens also gives its ``vocabulary``.

    Raises:
        SettingError: if it cannot be made.
    """
    tokens = {} if task.vocabulary is None else {"vocabulary": task.vocabulary}
    try:
        network = build(task.input_shape, task.output_dim, **tokens)
        if any(map(is_lazy, (*network.parameters(), *network.buffers()))):
            _materialise(network, task)
        return network
    except SettingError as error:
        # The task gives the arguments that the network itself is called with.
        place = "data.task" if error.key in ("input_shape", "output_dim", *tokens) else f"{KEY}.{error.key}"
        raise SettingError(place, error.given, error.allowed) from error
    except Exception as error:
        arguments = ", ".join(["input_shape", "output_dim", *tokens])
        raise SettingError(
            KEY,
            name_of_network(build),
            f"a network that can be built from ({arguments}) and its settings; {why(error)}",
        ) from error


def check(
    build: Build, network: nn.Module, task: Task, loss: Loss, differing: tuple[str, ...] = ()
) -> tuple[int, list[str], Contents]:
    """Check that a network and a loss fit a task, by calling the network on a few examples of two replicas.

    Args:
        differing: the buffers that differ by seed.

    Returns:
        The number of inputs and outputs of one example, the names of the task's additional metrics, and what the
        network holds and does.

    Raises:
        SettingError: for a network, a readout or a loss that does not fit the task.
    """
    task_name, network_name = type(task).__name__, name_of_network(build)
    check_loss(loss, task)
    check_tensors(network, network_name)
    expected = (*((task.input_shape[0],) if task.per_position else ()), task.output_dim)
    # The first example is the same for both replicas, the others are not.
    inputs, targets = task.examples(torch.zeros(2, 2, dtype=torch.int64), torch.tensor([[0, 1, 2], [0, 3, 4]]))
    outputs, contents = probe(network, network_name, inputs, expected, differing)
    shape = tuple(outputs.shape[2:])
    if shape != expected:
        allowed = f"a network whose outputs have shape {('batch', *expected)}"
        if task.per_position:
            allowed += f": {task_name} has a target at each position; readout: all gives one output for each"
        raise SettingError(KEY, f"{network_name} with outputs {('batch', *shape)}", allowed)
    return inputs[0, 0].numel() + outputs[0, 0].numel(), list(task.measures(outputs[0], targets[0])), contents


def check_losses(task: Task, name: str, values: Iterable[Any], loss: Loss) -> None:
    """Raise :class:`SettingError` unless the loss fits the task at every value of its setting ``name``."""
    for value in values:
        if not loss.fits(replace_setting(task, **{name: value})):
            raise SettingError(f"data.task.{name}", value, f"values that the loss {name_of(type(loss))} fits")


def activations(network: nn.Module, task: Task, contents: Contents) -> int:
    """How many numbers a network's modules return for one example, which a step must keep in memory."""
    examples = 2 if contents.mixes_tests else 1  # one example has no variance
    inputs, _ = task.examples(torch.zeros(1, 2, dtype=torch.int64), torch.arange(examples)[None])
    sizes: list[int] = []

    def count(module: nn.Module, arguments: Any, outputs: Any) -> None:
        sizes.append(sum(leaf.numel() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    forward = Forward(network, replace(contents, changing=tuple(name for name, _ in network.named_buffers())))
    forward.set_mode(trains=False)
    tensors = dict(network.named_buffers())
    device = next(network.parameters()).device
    with kept_generators(), torch.no_grad(), kernels(device, contents):
        forward(tensors, inputs[0].to(device))
    forward.set_mode(trains=True)
    for hook in hooks:
        hook.remove()
    return sum(sizes) // examples


def name_of_network(build: Any) -> str:
    """The name of the network's class or function."""
    return getattr(made_by(build), "__name__", str(build))


def _materialise(network: nn.Module, task: Task) -> None:
    """Call a network of lazy modules, which get their shapes and initial values by that."""
    inputs, _ = task.examples(torch.zeros(1, 2, dtype=torch.int64), torch.arange(2)[None])
    forward = Forward(network, Contents())
    forward.set_mode(trains=False)
    with torch.no_grad():
        network(inputs[0])
    forward.set_mode(trains=True)
