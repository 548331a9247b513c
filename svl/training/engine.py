"""How a stack is run on its device: in which blocks, by which step, on how many cores."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from svl import native
from svl.interventions.on_gradients import SampleGradientIntervention
from svl.training import factored, fused_mlp, fused_sgd, network
from svl.training.blocks import BlockRunner, partition, view
from svl.training.compilation import Block, Stretch, can_compile, warn_eager
from svl.training.step import Step

if TYPE_CHECKING:
    from svl.training.stack import ReplicaStack

# Activations of a block, 2.4 MB: what a core has cache for. With an eighth of them the call itself takes half the time.
_NUMBERS_PER_BLOCK, _LEAST_SHARE = 600_000, 8
_CALLS_WORTH_COMPILING = 1000
# Examples that are the same at every step, half a gigabyte, and test examples, an eighth of one.
_NUMBERS_HELD, _TEST_NUMBERS_HELD = 2**27, 2**25


class Engine:
    """What :class:`~svl.training.stack.ReplicaStack` makes of its settings at the first step.

    Args:
        stack: on its device; its strategy chooses the size of micro-batches here, where that is left open.
        tensors: everything that a step reads or writes, a nest of dicts ``[replica, ...]``.

    Attributes:
        blocks: replicas that are trained together, as views into the tensors.
        step: made for them.
        micro: numbers of micro-batches, a tensor each.
        starts: of the parts in which test examples are measured, a tensor each.
        fused_sgd: the Triton kernel, where it is used.
        runner: of the blocks.
    """

    def __init__(self, stack: ReplicaStack, tensors: dict[str, Any]) -> None:
        self._stack, self._device = stack, stack.key.device
        data, team, count = stack.data, stack.team, len(stack.replicas)
        activations = network.activations(stack.template, data.task)
        has_kernel = stack.compilation != "never" and self._fits_kernel
        data.choose_batch(stack.numbers, _NUMBERS_PER_BLOCK // (stack.example_numbers if has_kernel else activations))
        batch = data.batch_size
        numbers = batch * activations
        if has_kernel:  # which holds activations of a strip alone
            numbers = max(min(batch, fused_mlp.STRIP) * activations, batch * stack.example_numbers)
        own = team.rows(count) if team.divides_replicas else slice(0, count)
        stretches = [self._stretches(view(stack.numbers, slice(r, r + 1))) for r in range(own.start, own.stop)]
        runs = [len(list(run)) for _, run in groupby(stretches)]
        slices = partition(runs, stack.block_size or self._replicas_per_block(own.stop - own.start, numbers))
        if any(one.micro_batches > 1 for row in stretches for one in row) or team.divides_batches:
            tensors = tensors | {
                "total": {
                    "gradients": {name: torch.zeros_like(p) for name, p in tensors["params"].items()},
                    "loss": torch.zeros(count, device=self._device),
                    "correct": torch.zeros(count, device=self._device),
                }
            }
        self.blocks = []
        for part in slices:
            rows = slice(own.start + part.start, own.start + part.stop)
            self.blocks.append(Block(rows, view(tensors, rows), stretches[part.start]))
        self.step = self._make_step()
        parts = max(self.step.parts(block, one.first)[1] for block in self.blocks for one in block.stretches)
        self.micro: list[Tensor] = list(torch.arange(parts, device=self._device))
        self.starts = list(torch.arange(0, data.test_size, self.step.evaluation_rows, device=self._device))
        is_compiled = self.step.is_compiled
        self.fused_sgd = fused_sgd.select(self.step, self.blocks) if stack.fused and is_compiled else None
        # Processes that add up gradients must do so in one order.
        side_by_side = is_compiled and self._device.type == "cpu" and not team.divides_batches
        most = max(rows.stop - rows.start for rows in slices)
        is_small = side_by_side and batch * activations * most <= _NUMBERS_PER_BLOCK
        is_small &= not any(one.is_population for row in stretches for one in row)
        self.runner = BlockRunner(len(slices) if side_by_side else 1, stack.threads, is_small)

    def _stretches(self, numbers: dict[str, Tensor]) -> list[Stretch]:
        data = self._stack.data
        first = data.micro_batches(numbers)
        return [Stretch(step, count, data.is_population(numbers, torch.tensor(step))) for step, count in first]

    def _replicas_per_block(self, count: int, numbers: int) -> int:
        """As many as a core's cache holds, but at least a block for each core where the work is worth it.

        Args:
            numbers: what one replica's batch has to have at hand.
        """
        if self._device.type != "cpu":
            return count
        threads = self._stack.threads or torch.get_num_threads()
        most, share = max(1, _NUMBERS_PER_BLOCK // numbers), -(-count // threads)
        return min(most, max(share, most // _LEAST_SHARE, 1))

    def _make_step(self) -> Step:
        stack, data = self._stack, self._stack.data
        wanted = self._is_worth_compiling(sum(block.calls(data.total_steps) for block in self.blocks))
        if wanted and not can_compile():
            warn_eager()
            wanted = False
        is_factored = wanted and self._is_fusible and not stack.team.divides_batches
        is_factored = is_factored and factored.supports(stack.template, data)
        step = Step(
            data,
            stack.template,
            stack.packing,
            stack.loss,
            stack.rule,
            stack.example_numbers,
            wanted,
            wanted and self._fits_kernel,
            stack.interventions,
            stack.rates is not None,
            stack.team,
            is_factored,
            stack.precision == "bf16-mixed",
            self._examples(is_factored) <= _NUMBERS_HELD,
            stack.fused,
            len(stack.replicas) * data.test_size * stack.example_numbers <= _TEST_NUMBERS_HELD,
        )
        if stack.evaluations is not None:
            parts = -(-data.test_size // step.evaluation_rows)
            step.evaluate.is_compiled &= self._is_worth_compiling(stack.evaluations * parts * len(self.blocks))
            step.gradient.is_compiled &= self._is_worth_compiling(stack.evaluations * len(self.blocks))
        return step

    def _examples(self, is_factored: bool) -> int:
        """Numbers of all examples of micro-batches; of a product of halves, of the targets alone."""
        return sum(
            (block.rows.stop - block.rows.start)
            * one.micro_batches
            * self._stack.data.batch_size
            * (1 if is_factored and one.is_population else self._stack.example_numbers)
            for block in self.blocks
            for one in block.stretches
        )

    @property
    def _is_fusible(self) -> bool:
        """Whether what is written for MLPs can be used in a compiled fit."""
        stack = self._stack
        has_samples = any(isinstance(one, SampleGradientIntervention) for one in stack.interventions.values())
        return stack.fused and not stack.data.streams and stack.precision == "32-true" and not has_samples

    @property
    def _fits_kernel(self) -> bool:
        is_known = fused_mlp.supports(self._stack.template, self._stack.loss)
        return self._is_fusible and self._device.type == "cpu" and is_known and native.is_available("mlp")

    def _is_worth_compiling(self, calls: int) -> bool:
        wanted = self._stack.compilation
        return wanted == "always" or (wanted == "auto" and calls >= _CALLS_WORTH_COMPILING)
