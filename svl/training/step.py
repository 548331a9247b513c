"""One training step of a block of replicas: examples, gradients, update; compiled, or eager as its oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from svl.data.reuse import ReuseDataModule
from svl.interventions.on_gradients import (
    BatchGradientIntervention,
    GradientIntervention,
    SampleGradientIntervention,
)
from svl.optim.rule import UpdateRule
from svl.replicas import broadcast_to
from svl.training import fused_mlp
from svl.training.compilation import Block, BlockFunction
from svl.training.factored import Factored
from svl.training.losses import LOSSES
from svl.training.network import attention
from svl.training.packing import Packing
from svl.training.team import Team

_EVALUATION_NUMBERS = 2**20

Tensors = dict[str, Any]


class Step:
    """What happens to a block's tensors, a nest of dicts that it changes in place.

    ``params`` and ``rule`` hold the packed parameters and their optimizer state, ``data`` the strategy's state,
    ``memory`` that of interventions on the gradients, ``record`` what is remembered of the training, ``total`` the sums
    over micro-batches where there are several; ``numbers``, ``hyper``, ``intervention``, ``frozen`` and ``key`` are
    constant.

    Args:
        data: the reuse strategy.
        network: one plain network, whose parameters are swapped for each replica's.
        packing: how its parameters lie in matrices.
        loss: name of the loss.
        rule: the optimizer.
        example_numbers: numbers that one example has at the network's input and output.
        is_compiled: whether the functions are compiled.
        is_fused: whether gradients come from the C++ kernel.
        interventions: on the gradients, by name.
        is_scheduled: whether the rates follow a schedule.
        team: the processes among which batches may be divided.
        is_factored: whether the gradient over a population is that of a product of halves.
        is_mixed: whether matrix products are in bfloat16.
        holds_examples: whether examples that are the same at every step are kept; eager steps make them anew.
        has_kernels: whether compiled steps may call C++ kernels for their examples.
        holds_tests: whether test examples are kept.
    """

    def __init__(
        self,
        data: ReuseDataModule,
        network: nn.Module,
        packing: Packing,
        loss: str,
        rule: UpdateRule,
        example_numbers: int,
        is_compiled: bool,
        is_fused: bool,
        interventions: Mapping[str, GradientIntervention] | None = None,
        is_scheduled: bool = False,
        team: Team | None = None,
        is_factored: bool = False,
        is_mixed: bool = False,
        holds_examples: bool = False,
        has_kernels: bool = False,
        holds_tests: bool = False,
    ) -> None:
        self.team, self.is_mixed = team or Team(), is_mixed
        every = (interventions or {}).items()
        self.interventions = {name: one for name, one in every if isinstance(one, BatchGradientIntervention)}
        samplers = [one for _, one in every if isinstance(one, SampleGradientIntervention)]
        self.sampler = samplers[0] if samplers else None
        # A power of two, so that few sizes of the test set make a ragged end.
        rows = 1 << max(0, (_EVALUATION_NUMBERS // example_numbers).bit_length() - 1)
        self.evaluation_rows = min(1024, rows, data.test_size)
        self.constraint: Any = getattr(network, "project", None)
        self.data, self.network, self.packing, self.loss, self.rule = data, network, packing, loss, rule
        self.is_compiled, self.is_fused, self.is_scheduled = is_compiled, is_fused, is_scheduled
        turns = any(one.changes_inputs for one in data.interventions.values())
        self._has_signs = data.task.input_law == "signs" and not turns
        mlp: Any = network  # where the population is factored
        self.factored = Factored(data, mlp, packing, loss, self._means, is_fused) if is_factored else None
        make = partial(BlockFunction, is_compiled=is_compiled, has_kernels=has_kernels)
        self.whole = make(self._whole, holds_last=holds_examples)
        self.accumulate = make(self._accumulate, holds_last=holds_examples)
        self.accumulate_population = make(self._accumulate_population, holds_last=holds_examples)
        self.apply, self.gradient = make(self._apply), make(self._gradient)
        self.evaluate = make(self._evaluate, holds_last=holds_tests)
        self.holds_tests = holds_tests
        self._tests: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def parts(self, block: Block, step: int) -> tuple[BlockFunction, int]:
        """What computes a block's gradients at a step, and how often it is called for that: ``whole`` updates too."""
        stretch = block.stretch(step)
        if stretch.micro_batches == 1 and not self.team.divides_batches:
            return self.whole, 1
        if self.factored and stretch.is_population:
            return self.accumulate_population, self.factored.parts(block.tensors["key"])
        return self.accumulate, stretch.micro_batches

    def _whole(
        self, tensors: Tensors, step: Int[Tensor, ""], rate: Float[Tensor, ""], micro: Int[Tensor, ""]
    ) -> tuple[()]:
        """A step of one micro-batch, with the rates multiplied by the schedule's ``rate``."""
        self._update(tensors, *self._gradients(tensors, step, micro), step, rate)
        return ()

    def _accumulate(self, tensors: Tensors, step: Int[Tensor, ""], micro: Int[Tensor, ""]) -> tuple[()]:
        """Add one micro-batch's gradients, loss and accuracy to the block's ``total``."""
        return self._add(tensors["total"], *self._gradients(tensors, step, micro))

    def _accumulate_population(self, tensors: Tensors, step: Int[Tensor, ""], part: Int[Tensor, ""]) -> tuple[()]:
        """Add what one part of the population has to the block's ``total``."""
        assert self.factored is not None
        return self._add(tensors["total"], *self.factored.gradients(tensors, step, part))

    def _add(self, total: Tensors, gradients: dict[str, Tensor], loss: Tensor, correct: Tensor) -> tuple[()]:
        for name, gradient in gradients.items():
            total["gradients"][name].add_(gradient)
        total["loss"].add_(loss)
        total["correct"].add_(correct)
        return ()

    def _apply(self, tensors: Tensors, step: Int[Tensor, ""], rate: Float[Tensor, ""]) -> tuple[()]:
        """The step that the accumulated gradients make; ``total`` is zero again after it."""
        total = tensors["total"]
        self._update(tensors, total["gradients"], total["loss"], total["correct"], step, rate)
        for tensor in (*total["gradients"].values(), total["loss"], total["correct"]):
            tensor.zero_()
        return ()

    def _gradient(
        self, tensors: Tensors, step: Int[Tensor, ""], micro: Int[Tensor, ""]
    ) -> tuple[Float[Tensor, "replica number"]]:
        """The gradient of the strategy's own batch for a step, before any intervention on it."""
        state = self.data.ahead(tensors["data"], micro)
        batch = self.data.batch(tensors["numbers"], state, tensors["key"], step + micro, torch.zeros_like(micro))
        gradients = self._of_batch(tensors["params"], list(self.packing.names), *batch)[0]
        return (self.packing.row(gradients, tensors["frozen"]),)

    def _evaluate(self, tensors: Tensors, start: Int[Tensor, ""]) -> tuple[Float[Tensor, "metric replica"]]:
        """Sums of loss, accuracy and the task's measures over the test examples from ``start`` on."""
        rows = self.evaluation_rows
        inputs, targets = self._test_batch(tensors, start)
        valid = (start + torch.arange(rows, device=start.device)) < self.data.test_size
        if self.is_fused:
            network: Any = self.network
            params = self.packing.unpack(tensors["params"])
            outputs = fused_mlp.outputs(network, params, inputs, self._has_signs)[..., None]
        else:
            with self._arithmetic(start.device):
                outputs = vmap(self._outputs)(tensors["params"], inputs)

        def sums(outputs: Tensor, targets: Tensor) -> Tensor:
            every = [*self._each(outputs, targets), *self.data.task.measures(outputs, targets).values()]
            return torch.stack([torch.where(valid, one, 0.0).sum() for one in every])

        return (vmap(sums, out_dims=1)(outputs, targets),)

    def _test_batch(self, tensors: Tensors, start: Int[Tensor, ""]) -> tuple[Tensor, Tensor]:
        """The test examples from ``start`` on; a compiled function keeps its own."""
        make = partial(self.data.test_batch, tensors["numbers"], tensors["key"], start, self.evaluation_rows)
        if self.evaluate.is_compiled or not self.holds_tests:
            return make()
        place = tensors["key"].data_ptr(), int(start)
        if place not in self._tests:
            self._tests[place] = make()
        return self._tests[place]

    def _gradients(
        self, tensors: Tensors, step: Tensor, micro: Tensor
    ) -> tuple[dict[str, Tensor], Float[Tensor, "replica"], Float[Tensor, "replica"]]:
        """Gradients, losses and accuracies of one micro-batch, per replica."""
        numbers, key = tensors["numbers"], tensors["key"]
        batch = self._own(*self.data.batch(numbers, tensors["data"], key, step, micro))
        if self.sampler:
            return self._combined(tensors, *batch[:2], step)
        streams = self.packing.stream
        gradients, loss, correct = self._of_batch(
            tensors["params"], [n for n, one in streams.items() if not one], *batch
        )
        for stream in dict.fromkeys(filter(None, streams.values())):
            labels = [label for label, one in streams.items() if one == stream]
            batch = self._own(*self.data.stream_batch(stream, numbers, key, step))
            gradients |= self._of_batch(tensors["params"], labels, *batch)[0]
        return gradients, loss, correct

    def _own(
        self, inputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Float[Tensor, "replica batch"] | None]:
        """This process's part of a batch, weighted so that the parts' losses and gradients add up to the batch's."""
        if not self.team.divides_batches:
            return inputs, targets, weights
        replicas, count = inputs.shape[:2]
        if weights is None:
            weights = torch.full((replicas, count), 1 / count, device=inputs.device)
        rows = self.team.rows(count)
        return inputs[:, rows], targets[:, rows], weights[:, rows]

    def _of_batch(
        self, params: dict[str, Tensor], labels: list[str], inputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[dict[str, Tensor], Float[Tensor, "replica"], Float[Tensor, "replica"]]:
        """A batch's gradients with respect to the matrices named, and its loss and accuracy."""
        weighted = None if weights is None else 0
        if self.is_fused:
            network: Any = self.network  # an MLP, else it would not be fused
            row, outputs = fused_mlp.gradients(
                network, self.loss, self.packing.unpack(params), inputs, targets, weights, self._has_signs
            )
            means = vmap(self._means, in_dims=(0, 0, weighted))(outputs[..., None], targets, weights)
            return self.packing.pack_row(row), *means
        moving = {label: params[label] for label in labels}
        kept = {label: matrix for label, matrix in params.items() if label not in moving}
        in_dims = (0, 0, 0, 0, weighted)
        with self._arithmetic(inputs.device):
            if not moving:
                return {}, *vmap(self._mean_loss, in_dims)(moving, kept, inputs, targets, weights)
            per_replica = vmap(grad_and_value(self._mean_loss, has_aux=True), in_dims)
            gradients, (loss, correct) = per_replica(moving, kept, inputs, targets, weights)
        return gradients, loss, correct

    def _combined(
        self, tensors: Tensors, inputs: Tensor, targets: Tensor, step: Tensor
    ) -> tuple[dict[str, Tensor], Float[Tensor, "replica"], Float[Tensor, "replica"]]:
        """One gradient made of the samples' own."""
        assert self.sampler is not None

        def of_sample(params: Tensors, x: Tensor, y: Tensor) -> Any:
            return grad_and_value(self._mean_loss, has_aux=True)(params, {}, x[None], y[None], None)

        with self._arithmetic(step.device):
            gradients, (losses, hits) = vmap(vmap(of_sample, (None, 0, 0)))(tensors["params"], inputs, targets)
        row = self.packing.row(gradients, tensors["frozen"])
        combined = self.packing.matrices(self.sampler.combine(row, tensors["key"], step))
        return combined, losses.mean(1), hits.mean(1)

    def _mean_loss(
        self,
        moving: dict[str, Tensor],
        kept: dict[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return self._means(self._outputs({**moving, **kept}, inputs), targets, weights)

    def _outputs(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.network, self.packing.unpack(params), (inputs,))
        return outputs.float() if self.is_mixed else outputs

    @contextmanager
    def _arithmetic(self, device: torch.device) -> Iterator[None]:
        """How a network computes on a device; inside it what was cast must not be kept for another replica's."""
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=self.is_mixed, cache_enabled=False)
        with attention(device), mixed:
            yield

    def _each(self, outputs: Tensor, targets: Tensor) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Each example's loss, and 1 for a correct one or the share of it that is."""
        losses = LOSSES[self.loss](outputs, targets)
        correct = self.data.task.correct(outputs.detach(), targets)
        return losses, torch.full_like(losses, math.nan) if correct is None else correct.to(losses.dtype)

    def _means(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        losses, hits = self._each(outputs, targets)
        if weights is None:
            return losses.mean(), hits.mean()
        return (losses * weights).sum(), (hits * weights).sum()

    def _intervene(
        self, tensors: Tensors, gradients: dict[str, Tensor], alive: Tensor, step: Tensor
    ) -> dict[str, Tensor]:
        """The gradients that the interventions leave to use."""
        row = self.packing.row(gradients, tensors["frozen"])
        for name, intervention in self.interventions.items():
            memory = tensors["memory"][name]
            row, after = intervention.apply(row, tensors["intervention"][name], memory, step)
            for part, value in after.items():
                memory[part].copy_(torch.where(broadcast_to(alive, value) > 0, value, memory[part]))
        return self.packing.matrices(row)

    def _update(
        self, tensors: Tensors, gradients: dict[str, Tensor], loss: Tensor, correct: Tensor, step: Tensor, rate: Tensor
    ) -> None:
        """Apply one optimizer step in place; a replica whose loss is not finite stays as it is from now on."""
        record = tensors["record"]
        was_alive = record["diverged_at"] < 0
        alive = was_alive & torch.isfinite(loss)
        if self.interventions:
            gradients = self._intervene(tensors, gradients, alive, step)
        updates = {}
        for name, parameter in tensors["params"].items():
            state, hyper = tensors["rule"][name], tensors["hyper"][name]
            if self.is_scheduled:
                hyper = {**hyper, "lr": hyper["lr"] * rate}
            updates[name] = self.rule.update(parameter, gradients[name], state, hyper, step)
        moved = {name: updated for name, (updated, _) in updates.items()}
        if self.constraint is not None:
            moved = self.packing.pack(vmap(self.constraint)(self.packing.unpack(moved)))
        for name, parameter in tensors["params"].items():
            state, new_state = tensors["rule"][name], updates[name][1]
            moves = broadcast_to(alive & ~tensors["frozen"][name], parameter) > 0
            parameter.copy_(torch.where(moves, moved[name], parameter))
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
