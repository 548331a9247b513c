"""Gradients by autograd over all replicas at once: every network, loss and strategy, and the oracle of other routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import grad_and_value

from svl.data.draw import Draw, MicroBatch
from svl.training.forward import Forward, kernels
from svl.training.routes.route import BatchRoute, Gradients, Tensors
from svl.training.spec import StackSpec


class Autograd(BatchRoute):
    """``torch.func``: the plain network's gradient, mapped over the replicas."""

    name = "autograd"
    word = "autograd"

    def __init__(self, spec: StackSpec) -> None:
        super().__init__(spec)
        self.forward = Forward(spec.network, spec.contents)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        return None

    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        data, streams = self.spec.data, self.spec.packing.stream
        labels = [label for label, stream in streams.items() if not stream]
        gradients = self.of_labels(tensors, labels, self.share(data.batch(draw)), draw)
        for stream in dict.fromkeys(filter(None, streams.values())):
            labels = [label for label, name in streams.items() if name == stream]
            batch = self.share(data.stream_batch(stream, draw))
            gradients.matrices.update(self.of_labels(tensors, labels, batch, draw, stream).matrices)
        return gradients

    def of_batch(self, tensors: Tensors, batch: MicroBatch, draw: Draw) -> Gradients:
        return self.of_labels(tensors, list(tensors["params"]), batch, draw)

    def of_labels(
        self, tensors: Tensors, labels: Sequence[str], batch: MicroBatch, draw: Draw, stream: str = ""
    ) -> Gradients:
        """Gradients with respect to the matrices named alone, of a batch of a stream."""
        params = tensors["params"]
        moving = {label: params[label] for label in labels}
        kept = {label: matrix for label, matrix in params.items() if label not in moving}
        own = {**tensors["buffers"], **tensors["constants"]}
        in_dims = (0, 0, 0, 0, 0, None if batch.weights is None else 0)
        device = batch.inputs.device
        with self.arithmetic(device), self.forward.mode(draw.key, draw.step, draw.micro, stream) as over:
            if not moving:
                loss, (correct, buffers) = over(self._mean_loss, in_dims)(moving, kept, own, *batch)
                return Gradients({}, loss, correct, buffers)
            per_replica = over(grad_and_value(self._mean_loss, has_aux=True), in_dims)
            matrices, (loss, (correct, buffers)) = per_replica(moving, kept, own, *batch)
        return Gradients(matrices, loss, correct, buffers)

    def outputs(self, tensors: Tensors, inputs: Tensor, start: Int[Tensor, ""]) -> Float[Tensor, "replica batch ..."]:
        own = {**tensors["buffers"], **tensors["constants"]}
        with self.arithmetic(inputs.device), self.forward.mode(tensors["key"], start) as over:
            outputs: Tensor = over(self._outputs_alone)(tensors["params"], own, inputs)
        return outputs

    def _outputs_alone(self, params: dict[str, Tensor], own: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs = self.forward.outputs(self.spec.packing.unpack(params) | own, inputs)
        return outputs.float() if self._is_mixed else outputs

    def _mean_loss(
        self,
        moving: dict[str, Tensor],
        kept: dict[str, Tensor],
        own: dict[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor | None,
    ) -> tuple[Tensor, Any]:
        outputs, buffers = self._of_replica({**moving, **kept}, own, inputs)
        loss, correct = self.spec.objective.mean(outputs, targets, weights)
        return loss, (correct, buffers)

    def _of_replica(
        self, params: dict[str, Tensor], own: dict[str, Tensor], inputs: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        outputs, buffers = self.forward(self.spec.packing.unpack(params) | own, inputs)
        return outputs.float() if self._is_mixed else outputs, buffers

    @property
    def _is_mixed(self) -> bool:
        return self.spec.execution.precision == "bf16-mixed"

    @contextmanager
    def arithmetic(self, device: torch.device) -> Iterator[None]:
        """How a network computes on a device; inside it, a cast must not be kept for another replica."""
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=self._is_mixed, cache_enabled=False)
        with kernels(device, self.spec.contents), mixed:
            yield
