"""The tensors of a stack: what training changes, and the constants that differ by replica."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from svl.compat.torch import pytree
from svl.optim.rule import UpdateRule
from svl.replicas import Replicas, broadcast_to
from svl.training.initial_tensors import InitialTensors
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
        packed_rule: the optimizer's state of each matrix.
        rule: that of each parameter, views of the packed one.
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
        self._is_elementwise, self._needs_two_gradients = spec.rule.elementwise, spec.rule.needs_two_gradients
        names = spec.packing.names.items()
        # Rates and freezing are the same for all parameters of a matrix.
        self.hyper = {label: spec.hyper.rule[parameters[0]] for label, parameters in names}
        self.frozen = {label: spec.hyper.frozen[parameters[0]] for label, parameters in names}
        self.settings, self.key, self.interventions = spec.settings, key, interventions
        self._pack()
        self.packed_rule = {label: self._initial(spec.rule, label) for label in spec.packing.names}
        self._name_rule()
        self.memory: dict[str, Any] = {}
        if spec.batch_interventions:
            row = spec.packing.row(self.packed, self.frozen)
            self.memory |= {name: part.state(row) for name, part in spec.batch_interventions.items()}
        if spec.weight_interventions:
            weights = spec.packing.whole_row(self.packed)
            self.memory |= {name: part.state(weights) for name, part in spec.weight_interventions.items()}
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
            if self._needs_two_gradients:
                params = {label: torch.zeros_like(matrix) for label, matrix in self.packed.items()}
                nest["ascent"] = {"params": params, "loss": zero.clone(), "correct": zero.clone()}
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
        for name in ("packed_rule", "record", "data", "settings", "memory", "interventions", "hyper", "frozen"):
            setattr(self, name, pytree.tree_map(lambda tensor: tensor.to(device), getattr(self, name)))
        self._pack()
        self._name_rule()
        self.key = self.key.to(device)

    def _pack(self) -> None:
        """Lay the parameters out as matrices; the named ones are views of these from now on."""
        packing = self._packing
        self.packed = packing.pack(self.parameters())
        for name, part in packing.unpack(self.packed).items():
            self._network.get_parameter(name).data = part

    def _initial(self, rule: UpdateRule, label: str) -> dict[str, Tensor]:
        """The optimizer's state of one matrix, or of the one parameter in it, before the first step."""
        matrix = self.packed[label]
        if rule.elementwise:
            return rule.state(matrix)
        ((name, parameter),) = self._packing.unpack_matrix(label, matrix).items()
        return rule.state_of(name, parameter)

    def _name_rule(self) -> None:
        """Make :attr:`rule`: parts of a matrix's shape by parameter, and what all its parameters share."""
        self.rule: dict[str, dict[str, Tensor]] = {name: {} for name in self._packing.shapes}
        for label, state in self.packed_rule.items():
            for part, value in state.items():
                named = dict.fromkeys(self._packing.names[label], value)
                if self._is_elementwise and value.shape == self.packed[label].shape:
                    named = self._packing.unpack_matrix(label, value)
                for name, own in named.items():
                    self.rule[name][part] = own


def stack_tensors(network: nn.Module, started: InitialTensors, replicas: Replicas, spec: StackSpec) -> None:
    """Give a network the parameters of all replicas and their own buffers; tied names have one parameter.

    Args:
        network: a copy of the plain network.
        started: what the networks of the seeds begin with.
        replicas: which seed each replica has.
        spec: what is trained.
    """
    seed = torch.tensor(replicas.seed) - replicas.first_seed

    def put(name: str, tensor: Tensor) -> None:
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, tensor)

    for name, scale in spec.hyper.scale.items():
        values = started.stacked(name)[seed]
        values *= broadcast_to(scale, values)
        parameter = nn.Parameter(values, requires_grad=False)
        for each in spec.contents.names_of(name):
            put(each, parameter)
    for name in (*spec.contents.changing, *spec.contents.differing):
        put(name, started.stacked(name)[seed])


def copy_into(target: dict[str, Any], source: dict[str, Any]) -> None:
    """Overwrite the tensors of a nest of dicts with those of another that has the same keys."""
    for name, value in source.items():
        if isinstance(value, dict):
            copy_into(target[name], value)
        else:
            target[name].copy_(value)
