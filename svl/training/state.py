"""The tensors of a stack: what training changes, and the constants that differ by replica."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from svl.compat.torch import pytree
from svl.replicas import broadcast_to
from svl.training.spec import StackSpec


class StackState:
    """Parameters, optimizer state and records of all replicas, and their settings; every tensor ``[replica, ...]``.

    Args:
        spec: what is trained.
        network: the stacked network, whose parameters become views of :attr:`packed`.
        key: each replica's key.
        interventions: the settings of each intervention on the gradients.

    Attributes:
        packed: parameters side by side in matrices; see :class:`~svl.training.packing.Packing`.
        rule: the optimizer's state of each parameter, views of the packed one.
        record: what is remembered of the training since the last measurement, and the step of divergence.
        data: what the strategy remembers.
        buffers: the network's own, where each replica has its own and training changes them.
        constants: the same, where training does not.
        memory: what each intervention on the gradients remembers.
        settings: the strategy's settings.
    """

    def __init__(
        self,
        spec: StackSpec,
        network: nn.Module,
        key: Int[Tensor, "replica 2"],
        interventions: dict[str, dict[str, Tensor]],
    ) -> None:
        self._packing, self._network = spec.packing, network
        names = spec.packing.names.items()
        # Rates and freezing are the same for all parameters of a matrix.
        self.hyper = {label: spec.hyper.rule[parameters[0]] for label, parameters in names}
        self.frozen = {label: spec.hyper.frozen[parameters[0]] for label, parameters in names}
        self.settings, self.key, self.interventions = spec.settings, key, interventions
        self._pack({name: spec.rule.state(parameter) for name, parameter in self.parameters().items()})
        row = spec.packing.row(self.packed, self.frozen)
        self.memory = {name: part.state(row) for name, part in spec.batch_interventions.items()}
        count = spec.replicas
        self.record: dict[str, Tensor] = {
            "diverged_at": torch.full((count,), -1),
            "samples": torch.zeros(count, dtype=torch.int64),
            "loss": torch.zeros(count),
            "correct": torch.zeros(count),
            "steps": torch.zeros(count, dtype=torch.int64),
        }
        self.data = spec.data.initial_state(spec.settings)
        self._contents = spec.contents

    @property
    def buffers(self) -> dict[str, Shaped[Tensor, "replica ..."]]:
        return {name: self._network.get_buffer(name) for name in self._contents.changing}

    @property
    def constants(self) -> dict[str, Shaped[Tensor, "replica ..."]]:
        return {name: self._network.get_buffer(name) for name in self._contents.differing}

    def parameters(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """The stacked parameters under the plain network's own names."""
        return {name: parameter.data for name, parameter in self._network.named_parameters()}

    def nest(self, has_micro_batches: bool) -> dict[str, Any]:
        """Everything that a step reads or writes, as a nest of dicts.

        Args:
            has_micro_batches: whether steps add up several micro-batches, for which there is a ``total``.
        """
        nest: dict[str, Any] = {
            "params": self.packed,
            "rule": self.packed_rule,
            "record": {name: tensor for name, tensor in self.record.items() if name != "samples"},
            "data": self.data,
            "settings": self.settings,
            "key": self.key,
            "hyper": self.hyper,
            "frozen": self.frozen,
            "interventions": self.interventions,
            "memory": self.memory,
            "buffers": self.buffers,
            "constants": self.constants,
        }
        if has_micro_batches:
            zero = torch.zeros(len(self.key), device=self.key.device)
            gradients = {label: torch.zeros_like(matrix) for label, matrix in self.packed.items()}
            nest["total"] = {"gradients": gradients, "loss": zero, "correct": zero.clone()}
        return nest

    def trained(self) -> list[Any]:
        """The nests of tensors that training changes."""
        return [self.packed, self.packed_rule, self.record, self.data, self.memory, self.buffers]

    def checkpoint(self) -> dict[str, Any]:
        """The tensors that training changes, apart from the parameters."""
        nests = {"rule": self.rule, "record": self.record, "data": self.data, "memory": self.memory}
        # Some are not in the network's state_dict.
        return nests | ({"buffers": self.buffers} if self.buffers else {})

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Overwrite the tensors in place with those of a :meth:`checkpoint`."""
        for name, nest in self.checkpoint().items():
            copy_into(nest, checkpoint[name])

    def to(self, device: torch.device) -> None:
        """Move all tensors to the device of the network's parameters."""
        for name in ("rule", "record", "data", "settings", "memory", "interventions", "hyper", "frozen"):
            setattr(self, name, pytree.tree_map(lambda tensor: tensor.to(device), getattr(self, name)))
        self._pack(self.rule)
        self.key = self.key.to(device)

    def _pack(self, rule: dict[str, dict[str, Tensor]]) -> None:
        """Lay parameters and optimizer state out as matrices; the named ones are views of these from now on."""
        packing = self._packing
        self.packed = packing.pack(self.parameters())
        for name, part in packing.unpack(self.packed).items():
            self._network.get_parameter(name).data = part
        parts = next(iter(rule.values()))
        packed = {part: packing.pack({name: state[part] for name, state in rule.items()}) for part in parts}
        self.packed_rule = {label: {part: packed[part][label] for part in parts} for label in packing.names}
        views = {part: packing.unpack(matrices) for part, matrices in packed.items()}
        self.rule = {name: {part: views[part][name] for part in parts} for name in rule}


def stack_tensors(network: nn.Module, networks: list[nn.Module], spec: StackSpec) -> None:
    """Give a network the parameters of all replicas and their own buffers; tied names have one parameter.

    Args:
        network: a copy of the plain network.
        networks: of each replica before training.
        spec: what is trained.
    """

    def put(name: str, tensor: Tensor) -> None:
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, tensor)

    for name, scale in spec.hyper.scale.items():
        seeds = torch.stack([plain.get_parameter(name).detach() for plain in networks])
        parameter = nn.Parameter(seeds * broadcast_to(scale, seeds), requires_grad=False)
        for each in spec.contents.names_of(name):
            put(each, parameter)
    for name in (*spec.contents.changing, *spec.contents.differing):
        put(name, torch.stack([plain.get_buffer(name).detach() for plain in networks]))


def copy_into(target: dict[str, Any], source: dict[str, Any]) -> None:
    """Overwrite the tensors of a nest of dicts with those of another that has the same keys."""
    for name, value in source.items():
        if isinstance(value, dict):
            copy_into(target[name], value)
        else:
            target[name].copy_(value)
