"""What a fit will take: memory from shapes, and seconds from a few steps on copies of its tensors."""

from __future__ import annotations

import time
from dataclasses import dataclass

from svl.training.stack import ReplicaStack
from svl.training.timing import Timing


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
    stack.evaluate()
    began = time.perf_counter()
    stack.evaluate()
    return Estimate(
        state=sum(tensor.nbytes for block in engine.blocks for tensor in block.flat),
        working=4 * examples * max(block.replicas for block in plan.blocks) * workers,
        tests=4 * tests,
        training=Timing(engine, spec.data.total_steps).seconds(),
        measuring=(time.perf_counter() - began) * (spec.execution.evaluations or 1),
    )
