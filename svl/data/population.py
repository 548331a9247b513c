"""Gradient descent on the whole population of an enumerable task."""

from __future__ import annotations

from typing import ClassVar

from svl.data.axes import Axis
from svl.data.full_batch import FullBatch
from svl.data.size import POPULATION
from svl.tasks.task import Task


class Population(FullBatch):
    """Every step uses every input of the task once: the full batch of size ``population``.

    Args:
        task: what is learned; must be enumerable.
        micro_batch_size: examples whose activations are held at once.
        test_size: examples of the test set.
        axes: pools on the task's axes of diversity.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, task: Task, micro_batch_size: int = 1024, test_size: int = 4096, axes: dict[str, Axis] | None = None
    ) -> None:
        super().__init__(task, POPULATION, micro_batch_size, test_size, axes)
