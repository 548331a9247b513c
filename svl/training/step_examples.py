"""The examples of many consecutive steps of a block at once, by the strategy's own rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor
from torch.func import vmap

from svl import native, random
from svl.data.draw import Draw, State
from svl.data.full_batch import FullBatch
from svl.native.signs import encode_signs, order_of_signs
from svl.native.source import Source
from svl.tasks.task import TEST_START, Task
from svl.training.blocks import Block
from svl.training.spec import StackSpec

# Numbers of examples, and of indices of examples that are drawn as bits; what a core has cache for.
_NUMBERS_AT_ONCE, _INDICES_AT_ONCE, _MOST_STEPS = 2**21, 2**18, 256
_TEST_ROWS, _TEST_NUMBERS_HELD = 1024, 2**25


class StepExamples(NamedTuple):
    """Examples of some steps; see :class:`svl.native.arguments.Batches`.

    Attributes:
        first: number of the first step.
        inputs: numbers, or signs as bits, or counters for the source.
        targets: of each example; ``None`` with a source.
        weights: of each example; ``None`` where all are alike.
        source: makes inputs and targets where they are needed, if they are not there.
    """

    first: int
    inputs: Tensor
    targets: Tensor | None
    weights: Float[Tensor, "replica step batch"] | None
    source: Source | None = None

    @property
    def end(self) -> int:
        """Number of the step after the last one."""
        return self.first + self.inputs.shape[1]

    def repeated(self, first: int, count: int) -> StepExamples:
        """The examples of one step as those of each of so many."""
        targets = None if self.targets is None else _repeated(self.targets, count)
        weights = None if self.weights is None else _repeated(self.weights, count)
        return StepExamples(first, _repeated(self.inputs, count), targets, weights, self.source)

    def in_order(self, has_signs: bool) -> StepExamples:
        """The same examples, signs as bits and in the order in which the loop is fastest."""
        inputs = self.inputs
        if inputs.dtype != torch.int32:
            if not has_signs:
                return self
            inputs = encode_signs(inputs)
        order = order_of_signs(inputs)
        targets, weights = (None if part is None else _ordered(part, order) for part in (self.targets, self.weights))
        return StepExamples(self.first, _ordered(inputs, order), targets, weights, self.source)

    @property
    def size(self) -> int:
        """How many numbers inputs and targets have."""
        return self.inputs.numel() + (0 if self.targets is None else self.targets.numel())

    def part(self, start: int, stop: int) -> StepExamples:
        """Those of the steps from number ``start`` on, before ``stop``."""
        steps = slice(start - self.first, stop - self.first)
        weights = None if self.weights is None else self.weights[:, steps]
        targets = None if self.targets is None else self.targets[:, steps]
        return StepExamples(start, self.inputs[:, steps], targets, weights, self.source)


class Examples:
    """Makes the examples of a block.

    They are made for a fixed number of steps, from a multiple of it on. So their bits do not depend on how many steps a
    caller asks for. The strategy's rule runs in one call of :func:`torch.func.vmap` over the steps, or in a loop where
    its code does not allow that. Where its indices alone decide the examples, the task makes those of all steps at
    once.

    Args:
        spec: what is trained.
        size: examples of a step.
        may_have_source: whether the loop may leave it to a :class:`~svl.native.source.Source` to make them.
    """

    def __init__(self, spec: StackSpec, size: int, may_have_source: bool) -> None:
        self.spec, self.size = spec, size
        self.has_indices_alone, self.draws_bits = _has_indices_alone(spec), draws_bits(spec)
        self.is_constant = full_batch(spec) is not None
        self.has_source = may_have_source and not self.is_constant and has_source(spec)
        self.has_signs = spec.has_signs
        self._made: dict[Block, StepExamples] = {}
        self._tests: dict[Block, list[StepExamples]] = {}
        self._sources: dict[Block, Source | None] = {}
        self._allows_vmap = True

    def steps_at_once(self, block: Block) -> int:
        """For how many steps examples are made at once; 1 where the rule can change at any step."""
        if self.is_constant:
            return _MOST_STEPS
        data, tensors = self.spec.data, block.tensors
        replicas, most = len(tensors["key"]), _MOST_STEPS
        if tensors["data"]:
            settings = tensors["settings"]
            most = min(most, int(data.certain_steps(settings, data.initial_state(settings)).min()))
        at_once = _INDICES_AT_ONCE if self.draws_bits or self.has_source else _NUMBERS_AT_ONCE // self.spec.example_size
        return max(1, min(most, at_once // (self.size * replicas)))

    def of(self, block: Block, step: int) -> StepExamples:
        """Those of a step and of others around it, for a strategy without state."""
        count = self.steps_at_once(block)
        first = step // count * count
        made = self._made.get(block)
        if made is None or (made.first != first and not self.is_constant):
            steps = 1 if self.is_constant else count
            made = self.made(block, first, steps, {}, torch.zeros_like(block.tensors["key"][:, 0]))
            made = self._made[block] = made.in_order(self.has_signs) if self.is_constant else made
        return made.repeated(first, count) if self.is_constant else made

    def made(self, block: Block, first: int, count: int, state: State, now: Int[Tensor, "replica"]) -> StepExamples:
        """Those of the steps from number ``first`` on.

        Args:
            block: whose.
            first: number of the first step.
            count: of steps.
            state: what the strategy remembers before each replica's step number ``now``.
            now: each replica's next step; those before it have no meaning, nor have those for which the state is not
                certain.
        """
        steps = torch.arange(first, first + count).clamp(max=self.spec.data.total_steps - 1)
        with random.kernel():
            parts = self._of_steps(block.tensors, steps, state, now)
            if self.has_source:
                return StepExamples(first, parts[0], None, parts[1] if len(parts) > 1 else None, self._source(block))
            if self.has_indices_alone:
                index, *weights = parts
                parts = (*(self._bits(block, index) if self.draws_bits else self._numbers(block, index)), *weights)
        inputs, targets, *weights = parts
        return StepExamples(first, inputs, targets, weights[0] if weights else None)

    def _source(self, block: Block) -> Source | None:
        if block not in self._sources:
            self._sources[block] = self.spec.data.bound_task(block.tensors["settings"]).source(block.tensors["key"])
        return self._sources[block]

    def tests(self, block: Block) -> list[StepExamples]:
        """The test examples, in parts; each part is one step."""
        if block in self._tests:
            return self._tests[block]
        size = self.spec.data.test_size
        parts = [self._test_part(block, start, min(_TEST_ROWS, size - start)) for start in range(0, size, _TEST_ROWS)]
        if self.has_signs or self.draws_bits:
            joined = [torch.cat(list(tensors), dim=2) for tensors in zip(*(part[1:3] for part in parts), strict=True)]
            parts = [StepExamples(0, joined[0], joined[1], None)]
        if sum(part.size for part in parts) <= _TEST_NUMBERS_HELD:
            self._tests[block] = parts
        return parts

    def _test_part(self, block: Block, start: int, count: int) -> StepExamples:
        data, key = self.spec.data, block.tensors["key"]
        with random.kernel():
            if self.draws_bits:
                index = TEST_START + start + torch.arange(count).expand(len(key), -1)
                inputs, targets = self._bits(block, index[:, None])
                return StepExamples(0, inputs, targets, None)
            inputs, targets = data.test_batch(block.tensors["settings"], key, start, count)
        inputs, targets = inputs.flatten(2).float(), targets.float()
        inputs = encode_signs(inputs) if self.has_signs else inputs.contiguous()
        return StepExamples(0, inputs[:, None], targets.contiguous()[:, None], None)

    def _of_steps(
        self, tensors: dict[str, Any], steps: Int[Tensor, "step"], state: State, now: Int[Tensor, "replica"]
    ) -> tuple[Tensor, ...]:
        """Indices, or inputs and targets; then weights, if examples are not all alike: ``[replica, step, ...]``."""

        def of_step(step: Int[Tensor, ""]) -> tuple[Tensor, ...]:
            data, ahead = self.spec.data, (step - now).clamp(min=0)
            draw = Draw(
                tensors["settings"],
                data.ahead(state, ahead) if state else {},
                tensors["key"],
                step,
                torch.zeros_like(step),
                self.size,
                has_kernels=True,
            )
            if self.has_indices_alone:
                index = data.indices(draw)
                weights = data.weights(draw, index)
                parts = [index]
            else:
                inputs, targets, weights = data.batch(draw)
                parts = [inputs.flatten(2).float(), targets.float()]
            return (*parts, *([] if weights is None else [weights.float()]))

        if self._allows_vmap and len(steps) > 1:
            try:
                return tuple(map(_laid_out, vmap(of_step, out_dims=1)(steps)))
            except (
                Exception
            ):  # what vmap does not support raises errors of several kinds; an error of the user's own returns
                self._allows_vmap = False
        return tuple(_laid_out(torch.stack(part, dim=1)) for part in zip(*map(of_step, steps), strict=True))

    def _bits(
        self, block: Block, index: Int[Tensor, "replica step batch"]
    ) -> tuple[Int32[Tensor, "replica step batch word"], Float[Tensor, "replica step batch"]]:
        task = self.spec.data.bound_task(block.tensors["settings"])
        examples = task.sign_examples(block.tensors["key"], index.flatten(1))
        assert examples is not None
        return examples[0].unflatten(1, index.shape[1:]), examples[1].view(index.shape)

    def _numbers(
        self, block: Block, index: Int[Tensor, "replica step batch"]
    ) -> tuple[Float[Tensor, "replica step batch number"], Tensor]:
        task = self.spec.data.bound_task(block.tensors["settings"])
        inputs, targets = task.examples(block.tensors["key"], index.flatten(1))
        steps = index.shape[1:]
        inputs, targets = inputs.float().unflatten(1, steps), targets.float().unflatten(1, steps)
        return inputs.flatten(3).contiguous(), targets.contiguous()


def _repeated(part: Tensor, count: int) -> Tensor:
    return part.expand(-1, count, *part.shape[2:])


def _ordered(part: Tensor, order: Int[Tensor, "replica step batch"]) -> Tensor:
    """A part in another order of each step's examples."""
    places = order.view(*order.shape, *[1] * (part.dim() - 3)).expand(part.shape)
    return part.gather(2, places)


def _laid_out(part: Tensor) -> Tensor:
    """The same numbers, contiguous within a replica and a step."""
    return part if part[:1, :1].is_contiguous() else part.contiguous()


def draws_bits(spec: StackSpec) -> bool:
    """Whether the task draws its inputs as bits, which no setting changes, and as those of its examples.

    A subclass of a task may change only these.
    """
    data = spec.data
    if not _has_indices_alone(spec):
        return False
    task, key = data.bound_task(spec.settings), random.key(spec.settings["seed"])
    index = torch.arange(4).expand(len(key), -1)
    signs = task.sign_examples(key, index)
    if signs is None or type(task).test_examples is not Task.test_examples:
        return False
    inputs, targets = task.examples(key, index)
    return torch.equal(signs[0], encode_signs(inputs)) and torch.equal(signs[1], targets)


def full_batch(spec: StackSpec) -> int | None:
    """How many examples a step has where these are all of a subset at each step, for all replicas; else ``None``."""
    data = spec.data
    if type(data).micro_batches is not FullBatch.micro_batches or not _has_indices_alone(spec):
        return None
    ranges = data.micro_batches(spec.settings, 1)
    return ranges[0][1] if len(ranges) == 1 else None


def has_source(spec: StackSpec) -> bool:
    """Whether the task's examples, which no setting changes, can be made by its :class:`~svl.native.source.Source`."""
    task, key = spec.data.bound_task(spec.settings), random.key(spec.settings["seed"])
    owner = {name: _owner(type(task), name) for name in ("source", "examples", "labels")}
    is_for_these = all(issubclass(owner["source"], owner[name]) for name in ("examples", "labels"))
    if not _has_indices_alone(spec) or not is_for_these:
        return False
    source = task.source(key)
    return source is not None and native.is_available(source.library)


def _owner(task: type[Task], name: str) -> type:
    """The class that defines a method."""
    return next(kind for kind in task.__mro__ if name in vars(kind))


def _has_indices_alone(spec: StackSpec) -> bool:
    """Whether an example is the task's of an index, whatever the step and the strategy."""
    data = spec.data
    changes = data.interventions or data.changes_examples
    return not (changes or spec.settings["axes"] or data.enumerates(spec.settings))
