"""The update of a block: interventions on the gradients, the optimizer, and the record of the step."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import vmap

from svl.replicas import broadcast_to
from svl.training.routes.route import Gradients
from svl.training.spec import StackSpec
from svl.training.state import copy_into

Tensors = dict[str, Any]


class Update:
    """Applies one optimizer step to a block's tensors, in place.

    A replica whose loss is not finite stays as it is from that step on, and never touches the others.

    Args:
        spec: what is trained.
    """

    def __init__(self, spec: StackSpec) -> None:
        self.data, self.packing, self.rule = spec.data, spec.packing, spec.rule
        self.interventions, self.weight_interventions = spec.batch_interventions, spec.weight_interventions
        self.is_scheduled = spec.rates is not None
        self.constraint: Any = getattr(spec.network, "project", None)

    def __call__(self, tensors: Tensors, gradients: Gradients, step: Int[Tensor, ""], rate: Float[Tensor, ""]) -> None:
        """Update parameters, optimizer state, the strategy's state and the record.

        Args:
            tensors: the block's.
            gradients: of the step, with its mean loss and accuracy.
            step: number of the step, from 0.
            rate: the schedules' factor on the learning rates.
        """
        record = tensors["record"]
        was_alive = record["diverged_at"] < 0
        alive = was_alive & torch.isfinite(gradients.loss)
        matrices = self._intervene(tensors, gradients.matrices, alive, step)
        updates = {}
        for label, parameter in tensors["params"].items():
            state, hyper = tensors["rule"][label], tensors["hyper"][label]
            if self.is_scheduled:
                hyper = {**hyper, "lr": hyper["lr"] * rate}
            updates[label] = self._of_matrix(label, parameter, matrices[label], state, hyper, step)
        moved = {label: parameter for label, (parameter, _) in updates.items()}
        if self.constraint is not None:
            moved = self.packing.pack(vmap(self.constraint)(self.packing.unpack(moved)))
        if self.weight_interventions:
            moved = self._intervene_on_weights(tensors, moved, alive, step)
        for label, parameter in tensors["params"].items():
            state, new_state = tensors["rule"][label], updates[label][1]
            changes = alive & ~tensors["frozen"][label]
            moves = broadcast_to(changes, parameter) > 0
            parameter.copy_(torch.where(moves, moved[label], parameter))
            for part, value in new_state.items():
                changed = moves if value.dim() == parameter.dim() else broadcast_to(changes, value) > 0
                state[part].copy_(torch.where(changed, value, state[part]))
        copy_into(tensors["data"], self.data.advance(tensors["settings"], tensors["data"], gradients.correct))
        record["diverged_at"].copy_(torch.where(was_alive & ~alive, step, record["diverged_at"]))
        record["loss"].add_(torch.where(alive, gradients.loss, 0.0))
        record["correct"].add_(torch.where(alive, gradients.correct, 0.0))
        record["steps"].add_(alive)
        for name, value in gradients.buffers.items():
            buffer = tensors["buffers"][name]
            buffer.copy_(torch.where(alive.view(-1, *[1] * (buffer.dim() - 1)), value, buffer))

    def _of_matrix(
        self,
        label: str,
        parameter: Float[Tensor, "replica number"],
        gradient: Float[Tensor, "replica number"],
        state: dict[str, Tensor],
        hyper: dict[str, Tensor],
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica number"], dict[str, Tensor]]:
        """The optimizer's update of a matrix, or of the one parameter in it in the parameter's own shape."""
        if self.rule.elementwise:
            return self.rule.update(parameter, gradient, state, hyper, step)
        (own,) = self.packing.unpack_matrix(label, parameter).values()
        (own_gradient,) = self.packing.unpack_matrix(label, gradient).values()
        moved, after = self.rule.update(own, own_gradient, state, hyper, step)
        return moved.reshape(parameter.shape), after

    def _intervene(
        self, tensors: Tensors, matrices: dict[str, Tensor], alive: Bool[Tensor, "replica"], step: Int[Tensor, ""]
    ) -> dict[str, Tensor]:
        """The gradients that the interventions leave to use."""
        if not self.interventions:
            return matrices
        row = self.packing.row(matrices, tensors["frozen"])
        for name, intervention in self.interventions.items():
            memory = tensors["memory"][name]
            row, after = intervention.apply(row, tensors["interventions"][name], memory, step)
            _remember(memory, after, alive)
        return self.packing.matrices(row)

    def _intervene_on_weights(
        self, tensors: Tensors, moved: dict[str, Tensor], alive: Bool[Tensor, "replica"], step: Int[Tensor, ""]
    ) -> dict[str, Tensor]:
        """The weights that the interventions leave to keep; they are given those of frozen parameters as they are."""
        kept = {
            label: torch.where(broadcast_to(tensors["frozen"][label], before) > 0, before, moved[label])
            for label, before in tensors["params"].items()
        }
        row = self.packing.whole_row(kept)
        for name, intervention in self.weight_interventions.items():
            memory = tensors["memory"][name]
            row, after = intervention.apply(row, tensors["interventions"][name], memory, step)
            _remember(memory, after, alive)
        return self.packing.matrices(row)


def _remember(memory: dict[str, Tensor], after: dict[str, Tensor], alive: Bool[Tensor, "replica"]) -> None:
    """Overwrite an intervention's memory, except that of replicas that have diverged."""
    for part, value in after.items():
        memory[part].copy_(torch.where(broadcast_to(alive, value) > 0, value, memory[part]))
