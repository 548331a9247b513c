"""One training step of a block of replicas: examples, gradients, update; compiled, or eager as its oracle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from svl.data.reuse import ReuseDataModule
from svl.optim.rule import UpdateRule, over
from svl.training import fused_mlp
from svl.training.blocks import compiled
from svl.training.losses import LOSSES

EVALUATION_ROWS = 1024

Tensors = dict[str, Any]


class Step:
    """What happens to a block's tensors, a nest of dicts that it changes in place.

    ``params`` and ``rule`` hold each parameter and its optimizer state, ``data`` the strategy's state, ``record`` what is
    remembered of the training; ``numbers``, ``hyper``, ``frozen`` and ``key`` are constant.

    Args:
        data: the reuse strategy.
        network: one plain network, whose parameters are swapped for each replica's.
        loss: name of the loss.
        rule: the optimizer.
        is_compiled: whether the functions are compiled.
        is_fused: whether gradients come from the C++ kernel.
    """

    def __init__(
        self,
        data: ReuseDataModule,
        network: nn.Module,
        loss: str,
        rule: UpdateRule,
        is_compiled: bool,
        is_fused: bool,
    ) -> None:
        self.data, self.network, self.loss, self.rule = data, network, loss, rule
        self.is_compiled, self.is_fused = is_compiled, is_fused
        self._steps: dict[int, Callable] = {}
        self.accumulate = compiled(self._accumulate, is_compiled)
        self.apply = compiled(self._apply, is_compiled)
        self.evaluate = compiled(self._evaluate, is_compiled)

    def steps(self, count: int) -> Callable[[Tensors, Int[Tensor, ""], Int[Tensor, ""]], None]:
        """The function for ``count`` whole steps of one micro-batch each: a compiled call has a price, whatever it does.

        Its arguments are the block's tensors, the first step's number, and 0.
        """
        if count not in self._steps:

            def steps(tensors: Tensors, first: Tensor, micro: Tensor) -> None:
                for number in range(count):
                    self._update(tensors, *self._gradients(tensors, first + number, micro), first + number)

            self._steps[count] = compiled(steps, self.is_compiled)
        return self._steps[count]

    def _accumulate(self, tensors: Tensors, total: Tensors, sums: Tensor, step: Tensor, micro: Tensor) -> None:
        """Add one micro-batch's gradients to ``total``, its loss and accuracy to ``sums``."""
        gradients, loss, correct = self._gradients(tensors, step, micro)
        for name, gradient in gradients.items():
            total[name].add_(gradient)
        sums.add_(torch.stack((loss, correct)))

    def _apply(self, tensors: Tensors, total: Tensors, sums: Float[Tensor, "2 replica"], step: Tensor) -> None:
        """The step that the accumulated gradients make."""
        self._update(tensors, total, sums[0], sums[1], step)

    def _evaluate(self, tensors: Tensors, start: Int[Tensor, ""]) -> Float[Tensor, "2 replica"]:
        """Sums of loss and accuracy over the test examples from ``start`` on."""
        inputs, targets = self.data.test_batch(tensors["key"], start, EVALUATION_ROWS)
        valid = (start + torch.arange(EVALUATION_ROWS, device=start.device)) < self.data.test_size
        weights = valid.to(torch.float32).expand(len(inputs), -1)
        return torch.stack(vmap(self._mean_loss)(tensors["params"], inputs, targets, weights))

    def _gradients(
        self, tensors: Tensors, step: Tensor, micro: Tensor
    ) -> tuple[dict[str, Tensor], Float[Tensor, "replica"], Float[Tensor, "replica"]]:
        """Gradients, losses and accuracies of one micro-batch, per replica."""
        inputs, targets, weights = self.data.batch(tensors["numbers"], tensors["data"], tensors["key"], step, micro)
        weighted = None if weights is None else 0
        if self.is_fused:
            gradients, outputs = fused_mlp.gradients(self.network, self.loss, tensors["params"], inputs, targets, weights)
            means = vmap(self._means, in_dims=(0, 0, weighted))(outputs[..., None], targets, weights)
            return gradients, *means
        per_replica = vmap(grad_and_value(self._mean_loss, has_aux=True), in_dims=(0, 0, 0, weighted))
        gradients, (loss, correct) = per_replica(tensors["params"], inputs, targets, weights)
        return gradients, loss, correct

    def _mean_loss(
        self, params: dict[str, Tensor], inputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        return self._means(functional_call(self.network, params, (inputs,)), targets, weights)

    def _means(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        losses = LOSSES[self.loss](outputs, targets)
        correct = self.data.task.correct(outputs.detach(), targets)
        hits = torch.full_like(losses, math.nan) if correct is None else correct.to(losses.dtype)
        if weights is None:
            return losses.mean(), hits.mean()
        return (losses * weights).sum(), (hits * weights).sum()

    def _update(self, tensors: Tensors, gradients: dict[str, Tensor], loss: Tensor, correct: Tensor, step: Tensor) -> None:
        """Apply one optimizer step in place; a replica whose loss is not finite stays as it is from now on."""
        record = tensors["record"]
        was_alive = record["diverged_at"] < 0
        alive = was_alive & torch.isfinite(loss)
        for name, parameter in tensors["params"].items():
            state = tensors["rule"][name]
            updated, new_state = self.rule.update(parameter, gradients[name], state, tensors["hyper"][name], step)
            moves = over(alive & ~tensors["frozen"][name], parameter) > 0
            parameter.copy_(torch.where(moves, updated, parameter))
            for part, value in new_state.items():
                state[part].copy_(torch.where(moves, value, state[part]))
        copy_into(tensors["data"], self.data.advance(tensors["numbers"], tensors["data"], correct))
        record["diverged_at"].copy_(torch.where(was_alive & ~alive, step, record["diverged_at"]))
        record["loss"].add_(torch.where(alive, loss, 0.0))
        record["correct"].add_(torch.where(alive, correct, 0.0))
        record["steps"].add_(alive)


def copy_into(target: Tensors, source: Tensors) -> None:
    """Overwrite the tensors of a nest of dicts with those of another that has the same keys."""
    for name, value in source.items():
        if isinstance(value, dict):
            copy_into(target[name], value)
        else:
            target[name].copy_(value)
