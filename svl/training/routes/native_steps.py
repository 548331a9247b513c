"""Several steps of a block in one call of C++, which keeps a replica's weights in the cache and updates them there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from svl import native
from svl.data.reuse import ReuseDataModule
from svl.losses import CrossEntropy
from svl.losses.names import LOSSES, name_of
from svl.models.mlp import MLP
from svl.native import arguments, train
from svl.optim.adamw import AdamW
from svl.optim.sgd import SGD
from svl.training.blocks import Block
from svl.training.contents import is_plain
from svl.training.routes.route import StepRoute, Tick
from svl.training.routes.step_by_step import StepByStep
from svl.training.spec import StackSpec
from svl.training.state import copy_into
from svl.training.step_examples import Examples, StepExamples, full_batch

# Of full batches: numbers that are kept, half a gigabyte, and examples whose gradients are added up in one float32.
_NUMBERS_HELD, _MOST_EXAMPLES = 2**27, 2**18
# Of these, from so many examples on neighbours share their sums (svl/native/shallow_set.h), by which a core is as fast
# as three of the kernel.
_LEAST_OF_SET, _FASTER_ON_SETS = 1024, 3
_RULES = {SGD: "sgd", AdamW: "adamw"}


class NativeSteps(StepRoute):
    """The training loop of :mod:`svl.native.train` for MLPs.

    The strategy's own rule makes the examples of many steps at once (:mod:`svl.training.step_examples`). A strategy
    that waits for an accuracy decides between two calls. Nothing is compiled except the C++ library, once for a machine
    and a kind of fit.

    Args:
        spec: what is trained.
        size: examples of a step.
    """

    name = "C++ loop"
    word = "loop"
    for_long_fits = True

    def __init__(self, spec: StackSpec, size: int) -> None:
        self.spec, self.kind = spec, kind_of(spec)
        self.examples = Examples(spec, size, may_have_source=self.kind.correct != "uncounted")

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        assert isinstance(fallback, StepByStep)
        return cls(spec, full_batch(spec) or fallback.plan.micro_batch_size)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        data, execution = spec.data, spec.execution
        if not execution.fused:
            return "model.fused is false"
        if device.type != "cpu" or execution.precision != "32-true":
            return "it computes on the CPU, in float32"
        if not _trains(spec):
            activations = ", ".join(arguments.ACTIVATIONS)
            return f"it trains MLPs with activations {activations} and losses {', '.join(LOSSES)}"
        if not _updates(spec) or hasattr(spec.network, "project"):
            return "its optimizers are SGD, without Nesterov momentum and dampening, and AdamW"
        if spec.interventions or data.streams:
            return "there are interventions on gradients or weights, or streams"
        if spec.team.divides_batches:
            return "each device has a part of every batch"
        examples = full_batch(spec)
        if examples is None and type(data).micro_batches is not ReuseDataModule.micro_batches:
            return "a step has several micro-batches"
        cores = execution.threads or torch.get_num_threads()
        if examples is not None and spec.replicas * (_FASTER_ON_SETS if _shares_sums(spec) else 1) < cores:
            return "a full batch of few replicas is divided between the cores"
        if examples is not None and (
            examples * spec.replicas * spec.example_size > _NUMBERS_HELD or examples > _MOST_EXAMPLES
        ):
            return "a full batch has too many examples to hold and to add up at once"
        try:
            _library(spec)
        except native.BuildError:
            return "no C++ compiler built it"
        return None

    def compiled_unit(self, block: Block, step: int) -> tuple[object, ...]:
        return (self,)

    def advance(self, block: Block, clock: list[Tick]) -> None:
        for ticks in _runs(clock):
            start, stop = ticks[0].number, ticks[-1].number + 1
            rates = None if self.spec.rates is None else torch.stack([tick.rate for tick in ticks])
            while start < stop:
                done = start - ticks[0].number
                advance = self._advance_until_decided if block.tensors["data"] else self._advance
                start = advance(block, start, stop, None if rates is None else rates[done:])

    def _advance(self, block: Block, start: int, stop: int, rates: Tensor | None) -> int:
        """Take steps from number ``start`` on, as far as there are examples; returns the number of the next."""
        made = self.examples.of(block, start)
        stop = min(stop, made.end)
        self._train(block, made.part(start, stop), train.Steps(start, None if rates is None else rates[: stop - start]))
        return stop

    def _advance_until_decided(self, block: Block, start: int, stop: int, rates: Tensor | None) -> int:
        """The same for a strategy with state: each replica stops where it decides, and then continues."""
        data, settings, state = self.spec.data, block.tensors["settings"], block.tensors["data"]
        count = self.examples.steps_at_once(block)
        first = start // count * count
        stop = min(stop, first + count)
        now = torch.full_like(block.tensors["key"][:, 0], start)
        while (now < stop).any():
            ends = torch.minimum(now + data.certain_steps(settings, state), torch.tensor(stop))
            made = self.examples.made(block, first, count, state, now).part(start, stop)
            correct = torch.zeros(len(now), stop - start)
            steps = train.Steps(
                start, None if rates is None else rates[: stop - start], now - start, ends - start, correct
            )
            self._train(block, made, steps)
            for step in range(int(now.min()), int(ends.max())):
                is_taken = (now <= step) & (step < ends)
                after = data.advance(settings, state, correct[:, step - start])
                copy_into(state, {name: _where(is_taken, after[name], before) for name, before in state.items()})
            now = torch.maximum(now, ends)
        return stop

    @property
    def has_score(self) -> bool:
        return self.kind.correct != "uncounted" and not self.spec.measures

    def score(self, block: Block) -> Float[Tensor, "metric replica"]:
        values = list(self.spec.packing.unpack(block.tensors["params"]).values())
        parts = [
            torch.stack(train.scores(values, arguments.Batches(part.inputs, self._targets(part)), self.kind))
            for part in self.examples.tests(block)
        ]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)

    def _train(self, block: Block, made: StepExamples, steps: train.Steps) -> None:
        targets, outputs = self._targets(made), None
        if self.kind.correct == "uncounted":
            outputs = torch.zeros(*made.inputs.shape[:3], self.spec.objective.task.output_dim)
        batches = arguments.Batches(made.inputs, targets, made.weights, self.examples.has_signs, outputs, made.source)
        record = block.tensors["record"]
        names = ("loss", "correct", "steps", "diverged_at")
        remembered = arguments.Record(*(record[name] for name in names))
        train.train(self._parameters(block.tensors), batches, remembered, self.kind, steps)
        if outputs is not None:
            self._count_correct(record, outputs, made, steps)

    def _targets(self, made: StepExamples) -> Tensor | None:
        """Targets as the library takes them: those of one output have no axis of outputs."""
        if made.targets is None:
            return None
        is_vector = made.targets.dim() == 4 and self.spec.objective.task.output_dim == 1
        return made.targets[..., 0] if is_vector else made.targets

    def _count_correct(
        self, record: dict[str, Tensor], outputs: Tensor, made: StepExamples, steps: train.Steps
    ) -> None:
        """Count what the task calls correct, where that is its own idea."""
        task = self.spec.objective.task
        assert made.targets is not None
        targets = made.targets.long() if task.target == "class" else made.targets
        answer: Any = task.correct
        fraction = vmap(vmap(answer))(outputs, targets).float()
        mean = fraction.mean(-1) if made.weights is None else (fraction * made.weights).sum(-1)
        if steps.correct is not None:
            steps.correct.copy_(mean)
        for step in range(mean.shape[1]):
            number, diverged_at = steps.first + step, record["diverged_at"]
            is_taken = (diverged_at < 0) | (number < diverged_at)
            if steps.begins is not None and steps.ends is not None:
                is_taken &= (steps.begins <= step) & (step < steps.ends)
            record["correct"].add_(torch.where(is_taken, mean[:, step], 0.0))

    def _parameters(self, tensors: dict[str, Any]) -> list[arguments.Parameter]:
        """Views of the block's parameters and optimizer states, in the network's order."""
        packing, rule = self.spec.packing, tensors["rule"]
        values = packing.unpack(tensors["params"])
        names = next(iter(rule.values()))
        states = {part: packing.unpack({label: rule[label][part] for label in packing.names}) for part in names}
        label_of = {name: label for label, parameters in packing.names.items() for name in parameters}
        return [
            arguments.Parameter(
                value,
                {part: states[part][name] for part in names},
                tensors["hyper"][label_of[name]],
                tensors["frozen"][label_of[name]],
            )
            for name, value in values.items()
        ]


def kind_of(spec: StackSpec) -> arguments.Kind:
    """What the library is asked for."""
    loss, task, network = spec.objective.loss, spec.objective.task, spec.network
    answer = type(task).correct
    example = torch.zeros(1, task.output_dim), torch.zeros(1, dtype=torch.int64 if task.target == "class" else None)
    is_own = not answer.__module__.startswith("svl.tasks.") or (task.output_dim > 1 and task.target != "class")
    has_answer = task.target != "vector" and task.correct(*example) is not None
    correct = "undefined" if not has_answer else "uncounted" if is_own else "counted"
    weights = loss.weights if isinstance(loss, CrossEntropy) else None
    activation: Any = network.activation
    rule, is_set = _RULES[type(spec.rule)], (full_batch(spec) or 0) >= _LEAST_OF_SET
    return arguments.Kind(activation, name_of(type(loss)), rule, correct, weights, is_set)


def _runs(clock: list[Tick]) -> Iterator[list[Tick]]:
    """The clock, cut where its steps do not follow each other."""
    begins = [place for place, tick in enumerate(clock) if not place or tick.number != clock[place - 1].number + 1]
    for begin, end in pairwise([*begins, len(clock)]):
        yield clock[begin:end]


def _where(replica: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(replica.view(-1, *[1] * (first.dim() - 1)), first, second)


def _trains(spec: StackSpec) -> bool:
    """Whether the loop computes the network and the loss."""
    network: Any = spec.network
    task, loss = spec.objective.task, type(spec.objective.loss)
    layers: Any = getattr(network, "layers", None)
    if type(network) is not MLP or network.activation not in arguments.ACTIVATIONS or loss not in LOSSES.values():
        return False
    if not is_plain(layers, network) or any(p.dtype != torch.float32 for p in network.parameters()):
        return False
    has_several: bool = layers[-1].out_features > 1
    if task.per_position or task.vocabulary is not None:
        return False
    return task.target in ("vector", "class") if has_several else task.target in ("sign", "number", "vector")


def _shares_sums(spec: StackSpec) -> bool:
    """Whether the loop looks up once what several examples of a full batch have in common."""
    return spec.has_signs and kind_of(spec).is_set and train.is_shallow(kind_of(spec), _dims(spec))


def _updates(spec: StackSpec) -> bool:
    """Whether the loop computes the optimizer with all of its hyperparameters."""
    code = _RULES.get(type(spec.rule))
    return code is not None and spec.numbers == set(arguments.HYPER[code])


def _library(spec: StackSpec) -> Any:
    """The library for a fit, which is built if it is not there."""
    return train.variant(kind_of(spec), _dims(spec), spec.has_signs, has_words=spec.has_signs)


def _dims(spec: StackSpec) -> list[int]:
    """Widths of the network's layers, the input's first."""
    network: Any = spec.network
    return [network.layers[0].in_features, *(layer.out_features for layer in network.layers)]
