"""What a fit will take: memory from shapes, and seconds from a few steps on copies of its tensors."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from svl.compat.torch import pytree
from svl.training.blocks import Block, StepRange
from svl.training.routes.route import Tick
from svl.training.stack import ReplicaStack

_SECONDS, _MOST_STEPS = 0.3, 4096  # of one measurement


@dataclass(frozen=True)
class Estimate:
    """What a fit will take.

    Attributes:
        state: bytes of parameters, optimizer state, records and settings.
        working: bytes of the examples and activations of the blocks that are computed side by side.
        tests: bytes of test examples that are kept from one measurement to the next.
        training: seconds of all steps, without compilation.
        measuring: seconds of all measurements on test examples.
    """

    state: int
    working: int
    tests: int
    training: float
    measuring: float

    @property
    def memory(self) -> int:
        """Bytes that the fit holds in addition to the program itself."""
        return self.state + self.working + self.tests


def estimate(stack: ReplicaStack) -> Estimate:
    """Time a few steps of each kind on copies of the stack's tensors, and one measurement; nothing is trained.

    What has to be compiled is compiled here, and the fit finds it in the compiler's cache.
    """
    engine, spec, plan = stack.engine, stack.spec, stack.engine.plan
    workers = engine.runner.workers
    examples = plan.micro_batch_size * (spec.activations + spec.example_size)
    tests = spec.replicas * spec.data.test_size * spec.example_size if plan.holds_tests else 0
    alike = Counter((block.shapes, block.ranges) for block in engine.blocks)
    seconds: dict[Any, float] = {}

    def measure(_: int) -> None:
        for block in engine.blocks:
            kind = block.shapes, block.ranges
            if kind not in seconds:
                seconds[kind] = alike[kind] * _of_block(stack, block)

    # In a thread of the runner, which has as many cores for a block as the fit gives it.
    engine.runner.run(measure, 1)
    stack.evaluate()
    began = time.perf_counter()
    stack.evaluate()
    return Estimate(
        state=sum(tensor.nbytes for block in engine.blocks for tensor in block.flat),
        working=4 * examples * max(block.replicas for block in plan.blocks) * workers,
        tests=4 * tests,
        training=sum(seconds.values()) / workers,
        measuring=(time.perf_counter() - began) * (spec.execution.evaluations or 1),
    )


def _of_block(stack: ReplicaStack, block: Block) -> float:
    """Seconds of all steps of one block."""
    copy = Block(block.rows, pytree.tree_map(torch.clone, block.tensors), block.ranges)
    total = stack.data.total_steps
    ends = [steps.first for steps in block.ranges[1:]] + [total]
    return sum(
        max(min(end, total) - steps.first, 0) * _of_step(stack, copy, steps)
        for steps, end in zip(block.ranges, ends, strict=True)
        if steps.first < total
    )


def _of_step(stack: ReplicaStack, block: Block, steps: StepRange) -> float:
    """Seconds of one step of a range, after those that compile it."""
    route, first = stack.engine.route, steps.first
    later = [part.first for part in block.ranges if part.first > first]
    length = min([*later, stack.data.total_steps]) - first
    rate = torch.ones((), dtype=torch.float64, device=stack.key.device)
    numbers = torch.arange(first, first + min(length, _MOST_STEPS), device=stack.key.device)
    clock = [Tick(first + place, number, rate) for place, number in enumerate(numbers)]
    count, elapsed = 1, 0.0
    route.advance(block, clock[:1])
    while elapsed < _SECONDS and count < _MOST_STEPS:
        count *= 2
        began = time.perf_counter()
        for _ in range(count // len(clock)):
            route.advance(block, clock)
        route.advance(block, clock[: count % len(clock)])
        elapsed = time.perf_counter() - began
    return elapsed / count
