"""Gradients and outputs of a stack of Transformers by one call of a C++ kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import grad, vmap

from svl import native
from svl.data.draw import Draw, MicroBatch
from svl.losses import CrossEntropy
from svl.native import transformer
from svl.native.transformer import CLASSES, DERIVATIVE, Shape
from svl.training.routes.mlp_kernel import LOSSES
from svl.training.routes.route import BatchRoute, Gradients, Tensors
from svl.training.spec import StackSpec


class TransformerKernel(BatchRoute):
    """The kernel of :mod:`svl.native.transformer` for svl's Transformer, with any loss.

    The kernel knows svl's losses of one output, and cross-entropy. For any other loss it is called twice: for the
    outputs, and again with the loss's derivative with respect to them.
    """

    name = "C++ kernel for Transformers"
    word = "kernel"
    for_long_fits = True

    def __init__(self, spec: StackSpec) -> None:
        super().__init__(spec)
        network: Any = spec.network
        shape = Shape.of(network)
        assert shape is not None
        self.shape = replace(shape, has_signs=int(spec.has_signs and network.is_vector))

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        if misfit := cls.misfit(spec, device):
            return misfit
        return None if native.is_available("transformer") else "it could not be built by a C++ compiler"

    @classmethod
    def misfit(cls, spec: StackSpec, device: torch.device) -> str | None:
        """Why it does not compute a fit, whether or not it can be built; ``None`` if it does."""
        if not spec.execution.fused:
            return "model.fused is false"
        shape = Shape.of(spec.network)
        if shape is None:
            return "it computes svl's Transformer, as its constructor makes it"
        if not shape.is_small:
            return "it would hold the activations of 16 sequences in memory, which are more than 128 MB"
        if spec.data.streams:
            return "parameter groups with data streams take their gradients from batches of their own"
        if spec.sampler:
            return "an intervention needs the samples' own gradients"
        if spec.execution.precision != "32-true":
            return f"it computes in float32, and model.precision is {spec.execution.precision}"
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}"
        return None

    def of_batch(self, tensors: Tensors, batch: MicroBatch, draw: Draw) -> Gradients:
        params = list(self.spec.packing.unpack(tensors["params"]).values())
        code, targets, weights = self._problem(tensors, batch)
        row, outputs = transformer.gradients(self.shape, code, params, batch.inputs, targets, weights)
        in_dims = (0, 0, None if batch.weights is None else 0)
        means = vmap(self.spec.objective.mean, in_dims)(outputs, batch.targets, batch.weights)
        return Gradients(self.spec.packing.pack_row(row), *means)

    def outputs(self, tensors: Tensors, inputs: Tensor, start: Int[Tensor, ""]) -> Float[Tensor, "replica batch ..."]:
        return transformer.outputs(self.shape, list(self.spec.packing.unpack(tensors["params"]).values()), inputs)

    def _problem(self, tensors: Tensors, batch: MicroBatch) -> tuple[int, Tensor, Tensor | None]:
        """The kernel's loss, and a number and a weight for each position that is read."""
        loss, (_, targets, weights) = self.spec.objective.loss, batch
        per_position = targets.dim() == 3 and self.shape.readout == transformer.READOUTS["all"]
        is_single = targets.dim() == 2 and self.shape.readout != transformer.READOUTS["all"]
        has_shape = is_single or (per_position and loss.per_position)
        if has_shape and type(loss) is CrossEntropy and loss.class_weights is None:
            code, valid = CLASSES, targets >= 0
        elif has_shape and type(loss) in LOSSES and self.shape.outputs == 1:
            code, valid = LOSSES[type(loss)], ~targets.isnan()
        else:
            return DERIVATIVE, self._derivative(tensors, batch), None
        if per_position:
            replicas, count = targets.shape[:2]
            each = torch.full((replicas, count), 1 / count) if weights is None else weights
            weights = valid * (each / valid.sum(-1).clamp(min=1))[..., None]
            targets = torch.where(valid, targets, 0)
        return code, targets.to(torch.float32), weights

    def _derivative(self, tensors: Tensors, batch: MicroBatch) -> Float[Tensor, "replica batch ..."]:
        """The derivative of each replica's mean loss with respect to its outputs."""

        def mean(outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
            return self.spec.objective.mean(outputs, targets, weights)[0]

        outputs = self.outputs(tensors, batch.inputs, torch.zeros((), dtype=torch.int64))
        in_dims = (0, 0, None if batch.weights is None else 0)
        derivative: Tensor = vmap(grad(mean), in_dims)(outputs, batch.targets, batch.weights)
        return derivative
