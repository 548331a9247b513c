"""What a plain network holds beside trained weights: frozen and tied parameters, buffers, and state of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from svl.compat.torch import has_hooks, pytree, version
from svl.errors import SettingError

KEY = "model.network"
_DTYPES = (torch.float32, torch.float64)
_SEEDS_COMPARED = 8  # of Python attributes; buffers are compared between all


@dataclass(frozen=True)
class Contents:
    """What a plain network holds and does, which decides how a stack calls it.

    Attributes:
        frozen: parameters with ``requires_grad=False``, which keep their initial values.
        aliases: the other names of tied parameters, and the name in ``named_parameters`` of each.
        changing: buffers of modules of which a call in training mode changes any; every replica has its own.
        differing: buffers that differ by seed and that no call changes.
        mixes_examples: whether an output in training mode depends on the other examples of the batch.
        mixes_tests: the same in evaluation mode.
        is_recurrent: whether it has a recurrent layer of torch, which can be mapped only while gradients are taken.
        is_random: whether a call in training mode draws random numbers.
        is_random_in_tests: the same in evaluation mode.
        changes_inputs: whether a call changes its input in place.
        readout: where the outputs are in what a call returns: an attribute or key, a place in a tuple, or ``None`` if
            the outputs are all of it.
    """

    frozen: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    changing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    mixes_examples: bool = False
    mixes_tests: bool = False
    is_recurrent: bool = False
    is_random: bool = False
    is_random_in_tests: bool = False
    changes_inputs: bool = False
    readout: str | int | None = None

    @property
    def needs_whole_batches(self) -> str | None:
        """Why each step needs one call with its whole batch, or ``None`` if it does not."""
        if self.is_random:
            return "draws random numbers, such as dropout"
        if self.mixes_examples:
            return "normalises over the batch, such as BatchNorm"
        if self.changing:
            return f"changes its buffer {self.changing[0]}"
        return None

    def names_of(self, parameter: str) -> list[str]:
        """All names of a parameter, of which ``parameter`` is the first."""
        return [parameter, *(alias for alias, name in self.aliases.items() if name == parameter)]

    def find(self, pattern: str, parameters: Sequence[str]) -> list[str]:
        """The parameters of which a name matches the glob pattern."""
        return [name for name in parameters if any(fnmatchcase(one, pattern) for one in self.names_of(name))]


def check_tensors(network: nn.Module, name: str) -> None:
    """Raise :class:`SettingError` for parameters that cannot be stacked.

    Args:
        name: of the network, in the error.
    """
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    every = parameters | dict(network.named_buffers())
    if not parameters:
        raise SettingError(KEY, name, "a network that has parameters")
    first, dtype = next((parameter, value.dtype) for parameter, value in parameters.items())
    for parameter, value in parameters.items():
        if value.dtype not in _DTYPES:
            allowed = f"parameters of float32 or float64; {parameter} is {_short(value.dtype)}"
            raise SettingError(KEY, name, f"{allowed}: a tensor that is not trained is a buffer")
        if value.dtype != dtype:
            allowed = "parameters of one type"
            raise SettingError(
                KEY, name, f"{allowed}; {first} is {_short(dtype)} and {parameter} is {_short(value.dtype)}"
            )
    for tensor, value in every.items():
        if value.device.type != "cpu":
            raise SettingError(KEY, name, f"tensors on the CPU, which svl moves; {tensor} is on {value.device}")
    _check_modules(network, name)
    places: dict[int, str] = {}
    for tensor, value in every.items():
        place = value.untyped_storage().data_ptr() if value.numel() else 0
        other = places.setdefault(place, tensor) if place else tensor
        if other != tensor and other in parameters:
            allowed = f"tensors with memory of their own; {tensor} shares that of {other}"
            raise SettingError(KEY, name, f"{allowed}: to tie parameters, assign the Parameter itself")


def _check_modules(network: nn.Module, name: str) -> None:
    """Raise :class:`SettingError` for modules in plain lists or dicts, which PyTorch does not find, and some others."""
    registered = {id(module) for module in network.modules()}
    for place, module in network.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse:
            raise SettingError(KEY, name, f"dense gradients: sparse=False in {place}")
        for attribute, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                where = ".".join(filter(None, (place, attribute)))
                allowed = f"tensors that are parameters or buffers; {where} is computed from them"
                raise SettingError(KEY, name, f"{allowed}: use nn.utils.parametrizations, or compute it in forward")
            if attribute.startswith("_") or not isinstance(value, list | tuple | dict):
                continue
            parts = value.values() if isinstance(value, dict) else value
            if any(isinstance(part, nn.Module) and id(part) not in registered for part in parts):
                where = ".".join(filter(None, (place, attribute)))
                raise SettingError(KEY, name, f"modules in an nn.ModuleList or nn.ModuleDict, which {where} is not")


def aliases(network: nn.Module) -> dict[str, str]:
    """The other names of tied parameters, and the name in ``named_parameters`` of each."""
    first = {id(parameter): name for name, parameter in network.named_parameters()}
    every = network.named_parameters(remove_duplicate=False)
    return {name: first[id(parameter)] for name, parameter in every if first[id(parameter)] != name}


def differing_buffers(networks: Sequence[nn.Module], name: str) -> tuple[str, ...]:
    """Names of the buffers that differ between the networks of several seeds.

    Raises:
        SettingError: for networks that differ in something that cannot be stacked.
    """
    shapes = [{key: value.shape for key, value in tensors(network).items()} for network in networks]
    for before, after in pairwise(shapes):
        if before != after:
            names = [key for key in {**before, **after} if before.get(key) != after.get(key)]
            raise SettingError(KEY, name, f"the same shapes for every seed; {names[0]} differs")
    for other in networks[1:_SEEDS_COMPARED]:
        attribute = changed(attributes(networks[0]), attributes(other))
        if attribute is not None:
            allowed = f"attributes that are the same for every seed; {attribute} differs: make it a buffer"
            raise SettingError(KEY, name, allowed)
    buffers = [dict(network.named_buffers()) for network in networks]
    return tuple(key for key, value in buffers[0].items() if any(not same(value, other[key]) for other in buffers[1:]))


def check_drawing(first: nn.Module, second: nn.Module, name: str) -> None:
    """Raise :class:`SettingError` unless two networks that were made with the same seed are the same."""
    before, after = tensors(first), tensors(second)
    for tensor, value in before.items():
        if tensor not in after or not same(value, after[tensor]):
            allowed = "initial values drawn from the global generators of torch, NumPy or random, which the seed sets"
            raise SettingError(KEY, name, f"{allowed}; {tensor} was not the same when drawn again")


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {name: value.detach() for name, value in (*network.named_parameters(), *network.named_buffers())}


def attributes(network: nn.Module) -> dict[str, Any]:
    """Numbers, texts, arrays and plain tensors that the modules keep as attributes, by dotted name; copies."""
    # What every module has, and a recurrent layer's list of its own parameters, are no attributes of the user.
    usual, registered = {*vars(nn.Module()), "training"}, {id(parameter) for parameter in network.parameters()}
    return {
        ".".join(filter(None, (place, name))): pytree.tree_map(_copied, value)
        for place, module in network.named_modules()
        for name, value in vars(module).items()
        if name not in usual and _is_value(value) and registered.isdisjoint(map(id, pytree.tree_leaves(value)))
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The name of the first attribute of ``before`` that has another value in ``after``."""
    return next((name for name, value in before.items() if not same(value, after.get(name))), None)


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal; tensors and arrays in all their numbers, and NaN equals NaN."""
    if isinstance(first, Tensor):
        alike = isinstance(second, Tensor) and first.shape == second.shape and first.dtype == second.dtype
        return alike and bool(((first == second) | ((first != first) & (second != second))).all())
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")
    if isinstance(first, list | tuple):
        alike = isinstance(second, list | tuple) and len(first) == len(second)
        return alike and all(map(same, first, second))
    if isinstance(first, dict):
        alike = isinstance(second, dict) and first.keys() == second.keys()
        return alike and all(same(value, second[name]) for name, value in first.items())
    return type(first) is type(second) and (first == second or first != first)


def versions(named: Iterable[tuple[str, Tensor]]) -> dict[str, tuple[int, int]]:
    """What changes for each tensor if it is written to or replaced, by name."""
    return {name: (id(value), version(value)) for name, value in named}


def is_plain(layers: nn.ModuleList, network: nn.Module) -> bool:
    """Whether a network is nothing but these linear layers, so that a kernel may compute it.

    Layers can be tied, have hooks, parametrizations or an exchanged class although the network's class is the kernel's.
    """
    every = list(layers)
    expected = {f"layers.{n}.{part}" for n, layer in enumerate(every) for part, _ in layer.named_parameters()}
    names = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    are_linear = all(type(layer) is nn.Linear for layer in every)
    is_bare = not any(map(has_hooks, network.modules())) and not any(True for _ in network.buffers())
    return are_linear and is_bare and names == expected and not aliases(network)


def _is_value(value: Any) -> bool:
    """Whether a value is made of numbers, texts and tensors alone, which can be compared."""
    if isinstance(value, list | tuple):
        return all(map(_is_value, value))
    if isinstance(value, dict):
        return all(map(_is_value, value.values()))
    return isinstance(value, bool | int | float | str | np.ndarray | np.generic | Tensor)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
