"""What is learned: a pure function from a key and a counter to an example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Task(ABC):
    """A task: the same key and index give the same example on any device, in any order, in any process.

    A subclass sets the attributes below and writes :meth:`examples`; an enumerable task also writes :meth:`population`.

    Attributes:
        input_shape: shape of one input, without replica and batch axes.
        output_dim: number of outputs that a network for this task has.
        population_size: number of distinct inputs where they can be enumerated, else ``None``.
        per_replica: constructor arguments that may differ by replica (see ``replicas.vary``).
    """

    input_shape: tuple[int, ...]
    output_dim: int = 1
    population_size: int | None = None
    per_replica: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def examples(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs ``[replica, batch, *input_shape]`` and targets ``[replica, batch, ...]`` of the given counters."""

    def population(self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets number ``index`` of the enumerated population.

        ``key`` is that of :meth:`examples`: it fixes what is drawn once a replica.
        """
        raise NotImplementedError(f"{type(self).__name__} has no enumerable population")

    def correct(self, outputs: Float[Tensor, "... output"], targets: Tensor) -> Bool[Tensor, "..."] | None:
        """Which outputs count as correct; ``None`` for a task without accuracy (regression)."""
        return None
