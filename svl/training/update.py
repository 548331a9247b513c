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
        self.interventions = spec.batch_interventions
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
            updates[label] = self.rule.update(parameter, matrices[label], state, hyper, step)
        moved = {label: parameter for label, (parameter, _) in updates.items()}
        if self.constraint is not None:
            moved = self.packing.pack(vmap(self.constraint)(self.packing.unpack(moved)))
        for label, parameter in tensors["params"].items():
            state, new_state = tensors["rule"][label], updates[label][1]
            moves = broadcast_to(alive & ~tensors["frozen"][label], parameter) > 0
            parameter.copy_(torch.where(moves, moved[label], parameter))
            for part, value in new_state.items():
                state[part].copy_(torch.where(moves, value, state[part]))
        copy_into(tensors["data"], self.data.advance(tensors["settings"], tensors["data"], gradients.correct))
        record["diverged_at"].copy_(torch.where(was_alive & ~alive, step, record["diverged_at"]))
        record["loss"].add_(torch.where(alive, gradients.loss, 0.0))
        record["correct"].add_(torch.where(alive, gradients.correct, 0.0))
        record["steps"].add_(alive)
        for name, value in gradients.buffers.items():
            buffer = tensors["buffers"][name]
            buffer.copy_(torch.where(alive.view(-1, *[1] * (buffer.dim() - 1)), value, buffer))

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
            for part, value in after.items():
                memory[part].copy_(torch.where(broadcast_to(alive, value) > 0, value, memory[part]))
        return self.packing.matrices(row)
