"""Several steps of a block in one call of C++, which keeps a replica's weights in the cache and updates them there."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from svl import native, random
from svl.data.draw import Draw
from svl.losses.names import name_of
from svl.native import train
from svl.optim.adamw import AdamW
from svl.optim.sgd import SGD
from svl.tasks.parity import Parity
from svl.tasks.task import TEST_START, Task
from svl.training.blocks import Block
from svl.training.compilation import BlockFunction
from svl.training.routes.mlp_kernel import supports
from svl.training.routes.route import StepRoute, Tick
from svl.training.spec import StackSpec

_RULES = {SGD: "sgd", AdamW: "adamw"}
_EXAMPLES_AT_ONCE = 2**19  # of one call, whose indices, inputs and targets take some 10 MB
_LEAST_NODES = 30  # of a strategy's rule that is worth compiling


class NativeSteps(StepRoute):
    """The training loop of :mod:`svl.native.train` for MLPs with one output on inputs of signs.

    The strategy gives the indices of all steps of a call, and the task their inputs as bits
    (:meth:`~svl.tasks.task.Task.sign_examples`). Nothing is compiled but the C++ library, once for a machine.

    Args:
        spec: what is trained.
    """

    name = "C++ loop"
    word = "loop"
    for_long_fits = True

    def __init__(self, spec: StackSpec) -> None:
        self.spec = spec
        self._network: Any = spec.network
        self._tests: dict[Block, tuple[Tensor, Tensor]] = {}
        self._drawn = BlockFunction(self._of_step, is_compiled=True, least_nodes=_LEAST_NODES)

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        return cls(spec)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        data, execution = spec.data, spec.execution
        if not execution.fused:
            return "model.fused is false"
        if device.type != "cpu" or execution.precision != "32-true":
            return "it computes on the CPU, in float32"
        if not supports(spec.network, spec.objective.loss):
            return "it trains MLPs with one output, with the activations and losses of the C++ kernel"
        if not _computes(spec) or hasattr(spec.network, "project"):
            return "its optimizers are SGD, without Nesterov momentum and dampening, and AdamW"
        if spec.interventions or data.interventions or data.streams:
            return "there are interventions or streams"
        if spec.team.divides_batches:
            return "each device has a part of every batch"
        if data.makes_examples_itself or data.initial_state(spec.settings):
            return "it serves rules for the indices of one batch a step that do not wait for an accuracy"
        if data.enumerates(spec.settings) or spec.settings["axes"] or not _draws_signs(spec):
            return "the task does not draw inputs of signs as bits"
        is_parity = type(data.task).correct is Parity.correct and type(data.task).test_examples is Task.test_examples
        if not is_parity or spec.measures:
            return "an output counts as correct where it has the sign of its target"
        return None if native.is_available("train") else "no C++ compiler built it"

    def compiled_unit(self, block: Block, step: int) -> tuple[object, ...]:
        return self, block.shapes

    def advance(self, block: Block, clock: list[Tick]) -> None:
        replicas = block.rows.stop - block.rows.start
        at_once = max(1, _EXAMPLES_AT_ONCE // (replicas * self.spec.data.batch_size))
        for start in range(0, len(clock), at_once):
            self._train(block, clock[start : start + at_once])

    def score(self, block: Block) -> Float[Tensor, "metric replica"] | None:
        if block not in self._tests:
            self._tests[block] = self._test_set(block)
        values = self.spec.packing.unpack(block.tensors["params"]).values()
        activation, loss = self._network.activation, name_of(type(self.spec.objective.loss))
        return torch.stack(train.scores(list(values), *self._tests[block], activation=activation, loss=loss))

    def _test_set(self, block: Block) -> tuple[Int32[Tensor, "replica test word"], Float[Tensor, "replica test"]]:
        key, index = block.tensors["key"], TEST_START + torch.arange(self.spec.data.test_size)
        examples = self.spec.data.bound_task(block.tensors["settings"]).sign_examples(key, index.expand(len(key), -1))
        assert examples is not None
        return examples

    def _train(self, block: Block, clock: list[Tick]) -> None:
        tensors, objective = block.tensors, self.spec.objective
        record = tensors["record"]
        train.train(
            self._parameters(tensors),
            self._batches(block, clock),
            train.Record(record["loss"], record["correct"], record["steps"], record["diverged_at"]),
            activation=self._network.activation,
            loss=name_of(type(objective.loss)),
            rule=_RULES[type(self.spec.rule)],
            first_step=clock[0].number,
            rates=None if self.spec.rates is None else torch.stack([tick.rate for tick in clock]),
        )

    def _parameters(self, tensors: dict[str, Any]) -> list[train.Parameter]:
        """Views of the block's parameters and optimizer states, in the network's order."""
        packing, rule = self.spec.packing, tensors["rule"]
        values = packing.unpack(tensors["params"])
        names = next(iter(rule.values()))
        states = {part: packing.unpack({label: rule[label][part] for label in packing.names}) for part in names}
        label_of = {name: label for label, parameters in packing.names.items() for name in parameters}
        return [
            train.Parameter(
                value,
                {part: states[part][name] for part in names},
                tensors["hyper"][label_of[name]],
                tensors["frozen"][label_of[name]],
            )
            for name, value in values.items()
        ]

    def _batches(self, block: Block, clock: list[Tick]) -> train.Batches:
        """The examples of all steps of the clock."""
        drawn = [self._drawn(block, tick.step) for tick in clock]
        index: Int[Tensor, "replica step batch"] = torch.stack([part[0] for part in drawn], dim=1)
        task, key = self.spec.data.bound_task(block.tensors["settings"]), block.tensors["key"]
        examples = task.sign_examples(key, index.flatten(1))
        assert examples is not None
        words: Int32[Tensor, "replica step batch word"] = examples[0].unflatten(1, index.shape[1:])
        targets: Float[Tensor, "replica step batch"] = examples[1].view(index.shape)
        weights = torch.stack([part[1] for part in drawn], dim=1) if len(drawn[0]) > 1 else None
        return train.Batches(words, targets, weights)

    def _of_step(self, tensors: dict[str, Any], step: Int[Tensor, ""]) -> tuple[Tensor, ...]:
        """Indices of a step's batch and, where they are not all alike, the weights of its examples."""
        data, settings, key = self.spec.data, tensors["settings"], tensors["key"]
        draw = Draw(settings, {}, key, step, torch.zeros_like(step), data.batch_size, has_kernels=True)
        index = data.indices(draw)
        weights = data.weights(draw, index)
        return (index,) if weights is None else (index, weights)


def _computes(spec: StackSpec) -> bool:
    """Whether the loop computes the optimizer with all of its hyperparameters."""
    code = _RULES.get(type(spec.rule))
    return code is not None and spec.numbers == set(train.HYPER[code])


def _draws_signs(spec: StackSpec) -> bool:
    """Whether the task draws its inputs as bits, and as those of its examples: a subclass may change only these."""
    task, key = spec.data.bound_task(spec.settings), random.key(spec.settings["seed"])
    index = torch.arange(4).expand(len(key), -1)
    signs = task.sign_examples(key, index)
    if signs is None or not native.is_available("train"):
        return False
    inputs, targets = task.examples(key, index)
    return torch.equal(signs[0], train.encode_signs(inputs)) and torch.equal(signs[1], targets)
