"""Steps one after the other: gradients by any route, then the update; compiled, or eager as the oracle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.data.draw import Draw
from svl.training.ascent import Ascent
from svl.training.blocks import Block, StepRange
from svl.training.compilation import BlockFunction
from svl.training.routes.route import GradientRoute, Gradients, StepRoute, Tensors, Tick
from svl.training.spec import StackSpec
from svl.training.update import Update

if TYPE_CHECKING:
    from svl.training.plan import Plan


class StepByStep(StepRoute):
    """A step is one call where it has one micro-batch; else a call for each micro-batch, and one for the update.

    The functions change a block's tensors, a nest of dicts, in place: ``params`` and ``rule`` are the packed parameters
    and the optimizer's state of them, ``data`` is the strategy's state, ``memory`` that of the interventions on the
    gradients, ``record`` what is remembered of the training, ``total`` the sums over micro-batches,
    ``ascent`` what an optimizer that takes two gradients keeps between them;
    ``settings``, ``hyper``, ``interventions``, ``frozen`` and ``key`` are constant.

    Args:
        spec: what is trained.
        plan: by which routes gradients are computed, and what is compiled.
    """

    name = "step by step"

    def __init__(self, spec: StackSpec, plan: Plan) -> None:
        self.spec, self.plan = spec, plan
        self.batch_route = plan.batch_route(spec)
        self.population_route = plan.population_route(spec) if plan.population_route else None
        self.update = Update(spec)
        self.ascent = Ascent(spec) if spec.rule.needs_two_gradients else None
        is_replayed = plan.device.type == "cuda" and spec.execution.fused
        make = partial(BlockFunction, is_compiled=plan.is_compiled, is_replayed=is_replayed)
        self.whole = make(self._whole, holds_last=plan.holds_examples)
        self.accumulate = make(partial(self._accumulate, self.batch_route), holds_last=plan.holds_examples)
        self.accumulate_population = (
            make(partial(self._accumulate, self.population_route), holds_last=plan.holds_examples)
            if self.population_route
            else None
        )
        self.apply = make(self._apply)
        # The same tensors at every step: what depends on them alone is kept.
        most = max(self._function(steps, block.replicas)[1] for block in plan.blocks for steps in block.ranges)
        self.micro = list(torch.arange(most, device=plan.device))

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        return fallback

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        return None

    def advance(self, block: Block, clock: list[Tick]) -> None:
        for tick in clock:
            function, calls = self.function_of(block, tick.number)
            if function is self.whole:
                function(block, tick.step, tick.rate, self.micro[0])
                continue
            self._add_up(block, tick, function, self.micro[:calls])
            if self.ascent is not None:
                self.ascent.begin(block.tensors, tick.step)
                self._add_up(block, tick, function, self.micro[:calls])
                self.ascent.end(block.tensors)
            self.apply(block, tick.step, tick.rate)

    def advance_eagerly(self, block: Block, clock: list[Tick]) -> None:
        """Take the steps operation by operation, for an optimizer that takes one gradient and a team of one."""
        for tick in clock:
            function, calls = self.function_of(block, tick.number)
            if function is self.whole:
                function.function(block.tensors, tick.step, tick.rate, self.micro[0])
                continue
            for number in self.micro[:calls]:
                function.function(block.tensors, tick.step, number)
            self.apply.function(block.tensors, tick.step, tick.rate)

    def _add_up(self, block: Block, tick: Tick, function: BlockFunction, micro: list[Tensor]) -> None:
        """Add the gradients of all micro-batches, of all processes that share them, to the block's ``total``."""
        for number in micro:
            function(block, tick.step, number)
        self.spec.team.add_up(block.tensors["total"])

    @property
    def is_compiled(self) -> bool:
        """Whether the steps are compiled: whether they are to be, and the compiler has not failed."""
        functions = (self.whole, self.accumulate, self.accumulate_population, self.apply)
        return self.plan.is_compiled and not any(function.has_failed for function in functions if function)

    def compiled_unit(self, block: Block, step: int) -> tuple[object, ...]:
        return block.layout, self.function_of(block, step)[0]

    def function_of(self, block: Block, step: int) -> tuple[BlockFunction, int]:
        """The function that computes a block's gradients at a step, and how often a step calls it."""
        return self._function(block.range_of(step), block.rows.stop - block.rows.start)

    def _function(self, steps: StepRange, replicas: int) -> tuple[BlockFunction, int]:
        if steps.micro_batches == 1 and not self.spec.team.divides_batches:
            return self.whole, 1
        if self.population_route and self.accumulate_population and steps.is_population:
            return self.accumulate_population, self.population_route.calls(steps, replicas, self.plan.device)
        return self.accumulate, self.batch_route.calls(steps, replicas, self.plan.device)

    def draw(self, tensors: Tensors, step: Int[Tensor, ""], micro: Int[Tensor, ""]) -> Draw:
        """The micro-batch of a block that the strategy is asked for."""
        constants = tensors["settings"], tensors["data"], tensors["key"]
        return Draw(*constants, step, micro, self.plan.micro_batch_size, self.plan.has_kernels)

    def _whole(
        self, tensors: Tensors, step: Int[Tensor, ""], rate: Float[Tensor, ""], micro: Int[Tensor, ""]
    ) -> tuple[()]:
        """A step of one micro-batch, with the rates multiplied by the schedule's ``rate``."""
        draw = self.draw(tensors, step, micro)
        gradients = self.batch_route.gradients(tensors, draw)
        if self.ascent is not None:
            perturbed = self.ascent.perturbed(tensors, gradients.matrices, step)
            second = self.batch_route.gradients({**tensors, "params": perturbed}, draw)
            gradients = gradients._replace(matrices=second.matrices)
        self.update(tensors, gradients, step, rate)
        return ()

    def _accumulate(
        self, route: GradientRoute, tensors: Tensors, step: Int[Tensor, ""], micro: Int[Tensor, ""]
    ) -> tuple[()]:
        """Add one micro-batch's gradients, loss and accuracy to the block's ``total``."""
        total, gradients = tensors["total"], route.gradients(tensors, self.draw(tensors, step, micro))
        for label, gradient in gradients.matrices.items():
            total["gradients"][label].add_(gradient)
        total["loss"].add_(gradients.loss)
        total["correct"].add_(gradients.correct)
        return ()

    def _apply(self, tensors: Tensors, step: Int[Tensor, ""], rate: Float[Tensor, ""]) -> tuple[()]:
        """The step that the accumulated gradients make; ``total`` is zero again after it."""
        total = tensors["total"]
        self.update(tensors, Gradients(total["gradients"], total["loss"], total["correct"]), step, rate)
        for tensor in (*total["gradients"].values(), total["loss"], total["correct"]):
            tensor.zero_()
        return ()
