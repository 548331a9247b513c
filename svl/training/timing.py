"""How long training takes, from a few steps on copies of a stack's tensors."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import torch

from svl.training.blocks import Block, StepRange
from svl.training.engine import Engine
from svl.training.routes.route import Tick

_MOST_STEPS = 4096  # of one measurement


class Timing:
    """Measures the time of all steps of a fit by an engine; nothing is trained.

    What has to be compiled is compiled by the first measurement, and the fit finds it in the engine or in the
    compiler's cache. Blocks whose steps are computed in the same way are measured once.

    Args:
        engine: a plan put to work.
        total_steps: of the whole fit.
    """

    def __init__(self, engine: Engine, total_steps: int) -> None:
        self.engine, self.total = engine, total_steps
        self._alike = Counter(_kind(block) for block in engine.blocks)
        self._copies: dict[Any, Block] = {}

    def seconds(self, least: float = 0.3) -> float:
        """Seconds of training, without compilation.

        Args:
            least: seconds that the measurement of one kind of step should take.
        """
        total = 0.0

        def measure(_: int) -> None:
            nonlocal total
            for kind, count in self._alike.items():
                total += count * self._of_block(self._copy(kind), least)

        # In a thread of the runner, which has as many cores for a block as the fit gives it.
        self.engine.runner.run(measure, 1)
        return total / self.engine.runner.workers

    def _copy(self, kind: Any) -> Block:
        """A copy of the first block of a kind, the same one in each measurement."""
        if kind not in self._copies:
            block = next(block for block in self.engine.blocks if _kind(block) == kind)
            self._copies[kind] = block.copy()
        return self._copies[kind]

    def _of_block(self, copy: Block, least: float) -> float:
        """Seconds of all steps of one block."""
        ends = [steps.first for steps in copy.ranges[1:]] + [self.total]
        return sum(
            max(min(end, self.total) - steps.first, 0) * self._of_step(copy, steps, least)
            for steps, end in zip(copy.ranges, ends, strict=True)
            if steps.first < self.total
        )

    def _of_step(self, block: Block, steps: StepRange, least: float) -> float:
        """Seconds of one step of a range, after those that compile it."""
        route, first, device = self.engine.route, steps.first, self.engine.plan.device
        later = [part.first for part in block.ranges if part.first > first]
        length = min(min([*later, self.total]) - first, _MOST_STEPS)
        rate = torch.ones((), dtype=torch.float64, device=device)
        numbers = torch.arange(first, first + length, device=device)
        # One after the other: a route may make the examples of several steps at once.
        clock = [Tick(first + place, number, rate) for place, number in enumerate(numbers)]
        count, elapsed = 1, 0.0
        route.advance(block, clock[:1])
        while elapsed < least and count < _MOST_STEPS:
            count *= 2
            began = time.perf_counter()
            for _ in range(count // length):
                route.advance(block, clock)
            route.advance(block, clock[: count % length])
            elapsed = time.perf_counter() - began
        return elapsed / count


def _kind(block: Block) -> Any:
    return block.layout, block.ranges
