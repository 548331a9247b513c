"""Gradients of each sample by itself, for interventions that make one gradient of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from svl.data.draw import Draw
from svl.training.routes.autograd import Autograd
from svl.training.routes.route import Gradients, Tensors
from svl.training.spec import StackSpec


class SampleGradients(Autograd):
    """Autograd for each sample of a batch, combined by a :class:`~svl.interventions.SampleGradientIntervention`."""

    name = "autograd for each sample"
    word = "autograd"

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        return None if spec.sampler else "no intervention needs the samples' own gradients"

    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        spec = self.spec
        assert spec.sampler is not None
        inputs, targets, _ = spec.data.batch(draw)

        def of_sample(params: Tensors, own: Tensors, x: Tensor, y: Tensor) -> Any:
            return grad_and_value(self._mean_loss, has_aux=True)(params, {}, own, x[None], y[None], None)

        self.forward.set_mode(trains=True)
        with self.arithmetic(inputs.device):
            per_sample = vmap(vmap(of_sample, (None, None, 0, 0)))
            gradients, (losses, (hits, _)) = per_sample(tensors["params"], tensors["constants"], inputs, targets)
        row = spec.packing.row(gradients, tensors["frozen"])
        combined = spec.packing.matrices(spec.sampler.combine(row, draw.key, draw.step))
        return Gradients(combined, losses.mean(1), hits.mean(1))
