"""How a fit is computed: by which routes, in which blocks, on how many cores; chosen in one place, and printable."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from svl.training.block_plan import BlockPlan, blocks_of
from svl.training.call_size import (
    NUMBERS_PER_BLOCK,
    cost,
    evaluation_rows,
    examples_at_once,
    replicas_per_block,
    replicas_per_call,
)
from svl.training.choice import BATCH_ROUTES, POPULATION_ROUTES, STEP_ROUTES, Choice, first, unserved
from svl.training.compilation import can_compile, warn_eager
from svl.training.routes.mlp_kernel import MLPKernel
from svl.training.routes.native_steps import NativeSteps
from svl.training.routes.route import BatchRoute, GradientRoute, StepRoute
from svl.training.routes.step_by_step import StepByStep
from svl.training.routes.transformer_kernel import TransformerKernel
from svl.training.spec import StackSpec

_CALLS_WORTH_COMPILING = 1000
# The C++ loop needs no compilation beside its library, which is built once on a machine, in some five seconds: as long
# as a few hundred eager calls take, or fewer.
_CALLS_WORTH_THE_LOOP = 100
# Examples that are the same at every step, half a gigabyte, and test examples, an eighth of one.
_NUMBERS_HELD, _TEST_NUMBERS_HELD = 2**27, 2**25


@dataclass(frozen=True)
class Plan:
    """How a stack is computed on one device; the numbers are the same up to rounding for every plan.

    Attributes:
        device: where the tensors are.
        batch_route: computes the gradients of batches.
        population_route: computes those of a whole enumerated population, where that is faster.
        step_route: takes the steps.
        blocks: replicas that are trained together.
        micro_batch_size: examples whose activations are held at once.
        is_compiled: whether steps are compiled.
        compiles_evaluation: whether the measurement on test examples is.
        compiles_gradients: whether the measurement of gradients is.
        has_kernels: whether the strategy may draw indices by C++ kernels.
        holds_examples: whether examples that are the same at every step are kept.
        holds_tests: whether test examples are kept.
        evaluation_rows: test examples that are measured at once.
        workers: blocks that are computed side by side.
        is_small: whether a block is too little work to be divided between cores.
        reasons: why a route that comes before a chosen one is not used, by its name.
    """

    device: torch.device
    batch_route: type[BatchRoute]
    population_route: type[GradientRoute] | None
    step_route: type[StepRoute]
    blocks: tuple[BlockPlan, ...]
    micro_batch_size: int
    is_compiled: bool
    compiles_evaluation: bool
    compiles_gradients: bool
    has_kernels: bool
    holds_examples: bool
    holds_tests: bool
    evaluation_rows: int
    workers: int
    is_small: bool
    reasons: dict[str, str]

    @property
    def has_micro_batches(self) -> bool:
        """Whether any step adds up several micro-batches."""
        return any(steps.micro_batches > 1 for block in self.blocks for steps in block.ranges)

    @property
    def choice(self) -> Choice:
        """What :meth:`of` makes the same plan of again."""
        return Choice(self.step_route.word or self.batch_route.word, self.is_compiled)

    @property
    def uses_batches(self) -> bool:
        """Whether any step takes the gradients of a batch by the batch route."""
        ranges = [steps for block in self.blocks for steps in block.ranges]
        is_population = self.population_route is not None and all(steps.is_population for steps in ranges)
        return self.step_route is StepByStep and not is_population

    @classmethod
    def of(cls, spec: StackSpec, device: torch.device, choice: Choice | None = None) -> Plan:
        """The plan for a stack.

        Args:
            spec: what is trained.
            device: where its tensors are.
            choice: the route to take; ``None`` for the first that serves.

        Raises:
            SettingError: if the chosen route does not serve the fit.
        """
        data, execution = spec.data, spec.execution
        may_compile = _is_compiled(spec, choice, data.total_steps * spec.replicas * _most_micro_batches(spec))
        is_open = may_compile and can_compile() and not (choice and choice.leaves_out(MLPKernel))
        # Whether it can be built takes seconds to find out, and a fit that takes the loop does not need it.
        kernels: tuple[type[MLPKernel] | type[TransformerKernel], ...] = (MLPKernel, TransformerKernel)
        kernel = next((each for each in kernels if is_open and each.misfit(spec, device) is None), None)
        micro = data.examples_at_once(spec.settings, examples_at_once(spec, device, has_kernel=kernel is not None))
        blocks = blocks_of(spec, micro, replicas_per_block(spec, device, micro, kernel))
        calls = sum(block.calls(data.total_steps) * cost(spec, device, block.replicas, micro) for block in blocks)
        is_compiled = _is_compiled(spec, choice, calls)
        if is_compiled and not can_compile():
            warn_eager()
            is_compiled = False
        is_compiled = is_compiled or _is_worth_the_loop(spec, device, choice, calls)
        reasons: dict[str, str] = {}
        # First of all: a fit that takes the loop may need nothing else.
        step_route = first(STEP_ROUTES, spec, device, is_compiled, choice, reasons)
        batch_route = first(BATCH_ROUTES, spec, device, is_compiled, choice, reasons)
        has_population = any(steps.is_population for block in blocks for steps in block.ranges)
        population_routes = POPULATION_ROUTES if has_population else ()
        population_route = first(population_routes, spec, device, is_compiled, choice, reasons)
        assert step_route is not None
        if batch_route is None or (choice and choice.route != (step_route.word or batch_route.word)):
            raise unserved(choice, reasons)
        if step_route is NativeSteps:
            blocks = blocks_of(spec, micro, replicas_per_call(spec))
        most = max(block.replicas for block in blocks)
        rows = evaluation_rows(spec, device, most)
        # The C++ loop and the C++ kernel need no compilation, and what is measured is not worth it by itself.
        compiles_evaluation = compiles_gradients = is_compiled and step_route is not NativeSteps
        if execution.evaluations is not None:
            count, parts = execution.evaluations * len(blocks), -(-data.test_size // rows)
            compiles_evaluation &= _is_worth_compiling(spec, count * parts * cost(spec, device, most, rows))
            compiles_gradients &= _is_worth_compiling(spec, count * cost(spec, device, most, micro))
        # Processes that add up gradients must do so in one order.
        side_by_side = is_compiled and device.type == "cpu" and not spec.team.divides_batches
        is_small = side_by_side and micro * spec.activations * most <= NUMBERS_PER_BLOCK and not has_population
        return cls(
            device=device,
            batch_route=batch_route,
            population_route=population_route,
            step_route=step_route,
            blocks=blocks,
            micro_batch_size=micro,
            is_compiled=is_compiled,
            compiles_evaluation=compiles_evaluation,
            compiles_gradients=compiles_gradients,
            has_kernels=is_compiled and execution.fused,
            holds_examples=_examples(spec, blocks, micro, population_route is not None) <= _NUMBERS_HELD,
            holds_tests=spec.replicas * data.test_size * spec.example_size <= _TEST_NUMBERS_HELD,
            evaluation_rows=rows,
            workers=min(len(blocks), execution.threads or torch.get_num_threads()) if side_by_side else 1,
            is_small=is_small,
            reasons=reasons,
        )


def _most_micro_batches(spec: StackSpec) -> int:
    """At most so many micro-batches has a step."""
    return max(count for _, count in spec.data.micro_batches(spec.settings, spec.data.batch_size))


def _examples(spec: StackSpec, blocks: tuple[BlockPlan, ...], micro: int, is_factored: bool) -> int:
    """Numbers of all examples of micro-batches; of a product of halves, of the targets alone."""
    return sum(
        block.replicas * steps.micro_batches * micro * (1 if is_factored and steps.is_population else spec.example_size)
        for block in blocks
        for steps in block.ranges
    )


def _is_compiled(spec: StackSpec, choice: Choice | None, calls: int) -> bool:
    wanted = choice.is_compiled if choice else None
    return _is_worth_compiling(spec, calls) if wanted is None else wanted


def _is_worth_the_loop(spec: StackSpec, device: torch.device, choice: Choice | None, calls: int) -> bool:
    """Whether a fit that is too short to be compiled takes the C++ loop, for which nothing else is."""
    if spec.execution.compile != "auto" or calls < _CALLS_WORTH_THE_LOOP or not can_compile():
        return False
    is_open = choice is None or (choice.is_compiled is None and not choice.leaves_out(NativeSteps))
    return is_open and NativeSteps.obstacle(spec, device) is None


def _is_worth_compiling(spec: StackSpec, calls: int) -> bool:
    wanted = spec.execution.compile
    # A recurrent layer is one operation for each position, of which a compiled step has thousands.
    is_worth = calls >= _CALLS_WORTH_COMPILING and not spec.contents.is_recurrent
    return wanted == "always" or (wanted == "auto" and is_worth)
