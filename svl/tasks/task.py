"""What is learned: a pure function from a key and counters to an example."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl import random

# Test examples are numbered from here, beyond every training index: one key, so one task, and no example in common.
TEST_START = 2**62


class Task(ABC):
    """A task: the same key and counters give the same example on any device, in any order, in any process.

    A subclass sets the attributes below and writes :meth:`examples`; what else it writes is up to what the task has.
    Attributes named in ``per_replica`` are numbers, or tensors ``[replica, 1]`` where they differ by replica, so
    :meth:`examples` uses them in arithmetic that broadcasts over ``[replica, batch]``, and never in an ``if``.

    Attributes:
        input_shape: shape of one input, without replica and batch axes; of discrete tokens ``(position,)``.
        output_dim: number of outputs that a network for this task has.
        vocabulary: number of distinct tokens where inputs are discrete (int64), else ``None``.
        per_position: whether there is a target at each position: outputs ``[batch, position, output]``, targets
            ``[batch, position]``, where NaN (regression) or -100 (classes) says that a position has none.
        losses: names of the losses that fit the targets.
        population_size: number of distinct inputs where they can be enumerated, else ``None``.
        train_size: number of training examples where they run out (a stored dataset), else ``None``.
        test_size: number of test examples where the task fixes it, else ``None``.
        axes: counters beside the example's own that an example depends on, such as its context; for each the number
            of values it has, ``None`` for one without end. A strategy can restrict any of them to a pool.
        input_law: ``signs`` for independent coordinates in {-1, 1}, ``gaussian`` for N(0, I), of tasks that say by
            :meth:`labels` what the labels of other such inputs are; else ``None``. The C++ kernel takes it at its word.
        has_teacher: whether the labels depend on something drawn once a replica that :meth:`labels` can draw anew.
        digest: what tells stored data apart, kept in a run's summary; ``None`` for data that the settings determine.
        has_perplexity: whether exp(loss) is reported.
        per_replica: constructor arguments that may differ by replica (see ``replicas.vary``).
    """

    input_shape: tuple[int, ...]
    output_dim: int = 1
    vocabulary: int | None = None
    per_position: bool = False
    losses: tuple[str, ...] = ("logistic", "hinge", "squared", "correlation")
    population_size: int | None = None
    train_size: int | None = None
    test_size: int | None = None
    axes: Mapping[str, int | None] = {}
    input_law: Literal["signs", "gaussian"] | None = None
    has_teacher: bool = False
    digest: str | None = None
    has_perplexity: bool = False
    per_replica: ClassVar[frozenset[str]] = frozenset()

    @property
    def has_accuracy(self) -> bool:
        """Whether :meth:`correct` says which outputs are correct: where a subclass writes it, unless that says no."""
        return type(self).correct is not Task.correct

    @property
    def label_count(self) -> int | None:
        """How many labels there are: 2 of signs -1 and 1, or classes; ``None`` where targets are anything else."""
        if self.per_position or not {"logistic", "cross_entropy"} & set(self.losses):
            return None
        return 2 if "logistic" in self.losses else self.output_dim

    @abstractmethod
    def examples(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs ``[replica, batch, *input_shape]`` and targets ``[replica, batch, ...]`` of the given counters.

        A task with ``axes`` takes a further argument ``[replica, batch]`` named after each, ``None`` by default, which
        stands for the whole axis: see :func:`axis_index`.
        """

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the test set, numbered from 0."""
        return self.examples(key, TEST_START + index)

    def population(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets number ``index`` of the enumerated population.

        ``key`` is that of :meth:`examples`: it fixes what is drawn once a replica.
        """
        raise NotImplementedError(f"{type(self).__name__} has no enumerable population")

    def halves(self, device: torch.device) -> tuple[Float[Tensor, "low first"], Float[Tensor, "high second"]] | None:
        """Two tables of half inputs whose product the population is; ``None`` where it is none.

        Input number ``h * low + l`` of :meth:`population` is, flattened, row ``l`` of the first table and then row
        ``h`` of the second, for every replica; the gradient of an MLP over the whole population is fast then.
        """
        return None

    def labels(
        self, key: Int[Tensor, "replica 2"], inputs: Tensor, index: Int[Tensor, "replica batch"]
    ) -> Float[Tensor, "replica batch"]:
        """The targets of given inputs, with what ``key`` fixes and the label noise of counter ``index``.

        For tasks with an ``input_law`` or a teacher.
        """
        raise NotImplementedError(f"{type(self).__name__} labels no inputs but its own")

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Tensor
    ) -> Bool[Tensor, "..."] | Float[Tensor, "..."] | None:
        """Which outputs count as correct, or which share of an example; ``None`` for a task without accuracy."""
        return None

    def measures(self, outputs: Float[Tensor, "... output"], targets: Tensor) -> dict[str, Float[Tensor, "..."]]:
        """Further numbers about each test example, by name; their means are measured as ``val/<name>``."""
        return {}

    def references(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Tensor,
        targets: Tensor,
        pools: Mapping[str, Int[Tensor, "replica"]],
    ) -> dict[str, Float[Tensor, "replica"]]:
        """Test losses of reference predictors, by name; measured once and drawn as lines.

        Args:
            inputs: some test examples ``[replica, batch, *input_shape]``.
            targets: theirs.
            pools: the size of the pool that the strategy restricts an axis to; 0 for none.
        """
        return {}

    def bind(self, numbers: Mapping[str, Tensor]) -> Task:
        """This task with settings that differ by replica: tensors ``[replica]`` by name."""
        if not numbers:
            return self
        bound = copy.copy(self)
        for name, value in numbers.items():
            setattr(bound, name, value[:, None])
        return bound


def axis_index(
    key: Int[Tensor, "replica 2"],
    name: str,
    index: Int[Tensor, "replica batch"],
    size: int | Int[Tensor, "replica 1"],
) -> Int[Tensor, "replica batch"]:
    """Each example's place on an axis of diversity: uniform among ``size`` values, a function of its own counter."""
    return random.integers(random.bits(random.fold(random.fold(key, "axis"), name)[:, None], index), size)
