"""The base class of tasks: pure functions from a key and counters to examples."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from svl import random
from svl.native.source import Source

# Test examples are numbered from here, above every training index, so that both share a key but no example.
TEST_START = 2**62


class Task(ABC):
    """The base class of tasks: the same key and counter give the same example on any device, in any order.

    Whole numbers and signs are the same bit for bit. Gaussian numbers are so on one device alone: the last digits of
    logarithms and cosines differ between devices (``docs/gpu.md``).

    A subclass sets the attributes below where they differ from the defaults, and implements :meth:`examples`; the
    other methods are optional. Attributes named in ``per_replica`` are numbers, or tensors ``[replica, 1]`` if they
    differ by replica, so :meth:`examples` uses them in arithmetic that broadcasts over ``[replica, batch]``, and never
    in an ``if``.

    Attributes:
        input_shape: shape of one input, without replica and batch axes; ``(position,)`` for discrete tokens.
        output_dim: number of outputs of a network for this task.
        vocabulary: number of distinct tokens if inputs are discrete (int64), else ``None``.
        per_position: whether there is a target at each position: outputs ``[batch, position, output]``, targets
            ``[batch, position]``, in which NaN (regression) or -100 (classes) marks a position without a target.
        target: the kind of the targets, by which losses are chosen that fit: ``sign`` for labels -1 and 1, ``number``
            for real numbers, ``vector`` for ``output_dim`` real numbers an example, ``[batch, output]``, ``class`` for
            classes numbered from 0.
        population_size: number of distinct inputs if they can be enumerated, else ``None``.
        train_size: number of training examples if it is limited (a stored dataset), else ``None``.
        test_size: number of test examples if the task fixes it, else ``None``.
        axes: axes of diversity, that is further counters, such as the example's context, on which an example depends
            in addition to its own; for each the number of its values, ``None`` if unlimited. A strategy can restrict
            any of them to a pool.
        input_law: the distribution of the inputs if :meth:`labels` can label any such input: ``signs`` for independent
            coordinates in {-1, 1}, ``gaussian`` for N(0, I); else ``None``. The C++ kernel relies on it.
        has_teacher: whether the labels depend on a teacher drawn once for each replica, so that :meth:`labels` with
            another key gives those of another teacher.
        digest: a hash of stored data, kept in a run's summary and its checkpoints, from which a fit resumes only on
            data of the same hash; ``None`` if the settings determine the data.
        parts: hashes of the parts of stored data, by name, so that a refused resume can say which has changed.
        source_setting: the setting that says where stored data come from, for errors.
        notes: what the task decided about its data and the user may not expect; printed before a fit.
        has_perplexity: whether exp(loss) is reported.
        reference_loss: short name of the loss that :meth:`references` returns; fits with another loss have no reference
            predictors.
        per_replica: constructor arguments that can differ by replica (see ``replicas.vary``).
    """

    input_shape: tuple[int, ...]
    output_dim: int = 1
    vocabulary: int | None = None
    per_position: bool = False
    target: str = "sign"
    population_size: int | None = None
    train_size: int | None = None
    test_size: int | None = None
    axes: Mapping[str, int | None] = {}
    input_law: Literal["signs", "gaussian"] | None = None
    has_teacher: bool = False
    digest: str | None = None
    parts: Mapping[str, str] = {}
    source_setting: ClassVar[str] = ""
    notes: tuple[str, ...] = ()
    has_perplexity: bool = False
    reference_loss: str = "squared"
    per_replica: ClassVar[frozenset[str]] = frozenset()

    @property
    def has_accuracy(self) -> bool:
        """Whether the task has an accuracy; by default, if the subclass implements :meth:`correct`."""
        return type(self).correct is not Task.correct

    @property
    def other_kinds(self) -> Mapping[str, str]:
        """Kinds of target that the task could have too, each with the setting for it; by default none."""
        return {}

    @property
    def class_counts(self) -> Int[Tensor, "class"] | None:
        """Numbers of stored training targets of each class; ``None`` if there are no classes, or none are counted."""
        return None

    @property
    def label_count(self) -> int | None:
        """Number of labels: 2 for signs -1 and 1, or the number of classes; ``None`` for any other targets."""
        counts = {"sign": 2, "class": self.output_dim}
        return None if self.per_position else counts.get(self.target)

    @abstractmethod
    def examples(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs ``[replica, batch, *input_shape]`` and targets ``[replica, batch, ...]`` of the given counters.

        A task with ``axes`` takes one more argument for each axis, of the same name: the example's value on that axis,
        ``[replica, batch]``, or ``None`` (the default) to draw it from the whole axis, see :func:`axis_index`.

        Args:
            key: the replica's key.
            index: counters of the examples.
        """

    def sign_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int32[Tensor, "replica batch word"], Float[Tensor, "replica batch"]] | None:
        """:meth:`examples` with inputs as bits, by a C++ kernel on the CPU; ``None`` for a task without one.

        Bit i % 32 of word i // 32 is set where coordinate i is 1 and not -1.
        """
        return None

    def source(self, key: Int[Tensor, "replica 2"]) -> Source | None:
        """Makes :meth:`examples` in C++, up to rounding; ``None`` for a task without one.

        The training loop calls it where it needs an example. It is not used in a subclass with :meth:`examples` or
        :meth:`labels` of its own, unless that has a source of its own too.
        """
        return None

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the test set, numbered from 0."""
        return self.examples(key, TEST_START + index)

    def population(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets number ``index`` of the enumerated population.

        ``key`` is the same as in :meth:`examples`: it determines whatever is drawn once for each replica.
        """
        raise NotImplementedError(f"{type(self).__name__} has no enumerable population")

    def halves(self, device: torch.device) -> tuple[Float[Tensor, "low first"], Float[Tensor, "high second"]] | None:
        """Two tables of half inputs whose Cartesian product is the population; ``None`` if there are no such tables.

        Input number ``h * low + l`` of :meth:`population`, flattened, is row ``l`` of the first table followed by row
        ``h`` of the second, for every replica. This makes the gradient of an MLP over the whole population fast.
        """
        return None

    def labels(
        self, key: Int[Tensor, "replica 2"], inputs: Tensor, index: Int[Tensor, "replica batch"]
    ) -> Float[Tensor, "replica batch"]:
        """The targets of given inputs, with the teacher of ``key`` and the label noise of counter ``index``.

        For tasks with an ``input_law`` or a teacher.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot label given inputs")

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Tensor
    ) -> Bool[Tensor, "..."] | Float[Tensor, "..."] | None:
        """Which outputs are correct, or which fraction of each example; ``None`` for a task without accuracy."""
        return None

    def measures(self, outputs: Float[Tensor, "... output"], targets: Tensor) -> dict[str, Float[Tensor, "..."]]:
        """Additional metrics of each test example, by name; their means are measured as ``val/<name>``."""
        return {}

    def solves(self, written: Int[Tensor, "... position"], targets: Int[Tensor, "... position"]) -> Bool[Tensor, "..."]:
        """Which completions that a network has written are right: by default, those whose tokens are all targets.

        For tasks with a target at each position, which is the next token; measured by the callback ``Generation``.

        Args:
            written: the token that was written at each position that has a target.
            targets: -100 where there is none.
        """
        return ((written == targets) | (targets == -100)).all(-1)

    def references(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Tensor,
        targets: Tensor,
        pools: Mapping[str, Int[Tensor, "replica"]],
    ) -> dict[str, Float[Tensor, "replica"]]:
        """Test losses of reference predictors, by name; measured once and drawn as horizontal lines.

        Args:
            key: the replica's key.
            inputs: inputs of test examples, ``[replica, batch, *input_shape]``.
            targets: their targets.
            pools: for each axis that the strategy restricts, the size of its pool; 0 if there is none.
        """
        return {}

    def bind(self, numbers: Mapping[str, Tensor]) -> Task:
        """A copy of this task in which some settings differ by replica: tensors ``[replica]`` by name."""
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
    """Each example's value on an axis of diversity: uniform in [0, size), determined by the example's counter."""
    return random.integers(random.bits(random.fold(random.fold(key, "axis"), name)[:, None], index), size)
