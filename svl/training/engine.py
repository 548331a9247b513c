"""A plan put to work: blocks as views into a stack's tensors, and the functions that advance and measure them."""

from __future__ import annotations

from typing import NamedTuple

from svl.training.blocks import Block, BlockRunner, view
from svl.training.evaluation import Evaluation
from svl.training.plan import Plan
from svl.training.routes.route import StepRoute
from svl.training.routes.step_by_step import StepByStep
from svl.training.spec import StackSpec
from svl.training.state import StackState


class Engine(NamedTuple):
    """A plan put to work on the stack's device.

    Attributes:
        plan: what it follows.
        blocks: replicas that are trained together, as views into the stack's tensors.
        steps: what a step does, by the plan's gradient routes.
        route: advances the blocks: ``steps``, or what replaces it.
        evaluation: what is measured of a block.
        runner: of the blocks.
    """

    plan: Plan
    blocks: list[Block]
    steps: StepByStep
    route: StepRoute
    evaluation: Evaluation
    runner: BlockRunner

    @classmethod
    def of(cls, plan: Plan, spec: StackSpec, state: StackState) -> Engine:
        """Put a plan to work.

        Args:
            plan: of the device on which the state is.
            spec: what is trained.
            state: the tensors, which training changes in place.
        """
        tensors = state.nest(plan.has_micro_batches or spec.team.divides_batches)
        blocks = [Block(block.rows, view(tensors, block.rows), block.ranges) for block in plan.blocks]
        steps = StepByStep(spec, plan)
        route = plan.step_route.start(spec, steps, blocks)
        runner = BlockRunner(plan.workers, spec.execution.threads, plan.is_small)
        return cls(plan, blocks, steps, route, Evaluation(spec, plan, steps), runner)
