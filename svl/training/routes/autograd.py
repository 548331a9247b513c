"""Gradients by autograd over all replicas at once: every network, loss and strategy, and the oracle of other routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from svl.data.draw import Draw, MicroBatch
from svl.training.network import attention
from svl.training.routes.route import BatchRoute, Gradients, Tensors
from svl.training.spec import StackSpec


class Autograd(BatchRoute):
    """``torch.func``: the plain network's gradient, mapped over the replicas."""

    name = "autograd"

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        return None

    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        data, streams = self.spec.data, self.spec.packing.stream
        labels = [label for label, stream in streams.items() if not stream]
        gradients = self.of_labels(tensors["params"], labels, self.share(data.batch(draw)))
        for stream in dict.fromkeys(filter(None, streams.values())):
            labels = [label for label, name in streams.items() if name == stream]
            batch = self.share(data.stream_batch(stream, draw))
            gradients.matrices.update(self.of_labels(tensors["params"], labels, batch).matrices)
        return gradients

    def of_batch(self, params: dict[str, Tensor], batch: MicroBatch) -> Gradients:
        return self.of_labels(params, list(params), batch)

    def of_labels(self, params: dict[str, Tensor], labels: Sequence[str], batch: MicroBatch) -> Gradients:
        """Gradients with respect to the matrices named alone."""
        moving = {label: params[label] for label in labels}
        kept = {label: matrix for label, matrix in params.items() if label not in moving}
        in_dims = (0, 0, 0, 0, None if batch.weights is None else 0)
        with self.arithmetic(batch.inputs.device):
            if not moving:
                return Gradients({}, *vmap(self._mean_loss, in_dims)(moving, kept, *batch))
            per_replica = vmap(grad_and_value(self._mean_loss, has_aux=True), in_dims)
            matrices, (loss, correct) = per_replica(moving, kept, *batch)
        return Gradients(matrices, loss, correct)

    def outputs(self, params: dict[str, Tensor], inputs: Tensor) -> Float[Tensor, "replica batch ..."]:
        with self.arithmetic(inputs.device):
            outputs: Tensor = vmap(self._of_replica)(params, inputs)
        return outputs

    def _mean_loss(
        self,
        moving: dict[str, Tensor],
        kept: dict[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return self.spec.objective.mean(self._of_replica({**moving, **kept}, inputs), targets, weights)

    def _of_replica(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.spec.network, self.spec.packing.unpack(params), (inputs,))
        return outputs.float() if self._is_mixed else outputs

    @property
    def _is_mixed(self) -> bool:
        return self.spec.execution.precision == "bf16-mixed"

    @contextmanager
    def arithmetic(self, device: torch.device) -> Iterator[None]:
        """How a network computes on a device; inside it, a cast must not be kept for another replica."""
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=self._is_mixed, cache_enabled=False)
        with attention(device), mixed:
            yield
