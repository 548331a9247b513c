"""Gradient descent on the whole population of an enumerable task."""

from __future__ import annotations

from typing import Any, ClassVar

from svl.data.full_batch import FullBatch
from svl.data.size import POPULATION
from svl.tasks.task import Task


class Population(FullBatch):
    """Every step uses every input of the task once: the full batch of size ``population``.

    Args:
        task: what is learned; must be enumerable.
        micro_batch_size: examples whose activations are held at once; 1024 if ``None``.
        **common: as of :class:`~svl.data.full_batch.FullBatch`.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()
    decided: ClassVar[frozenset[str]] = frozenset({"batch_size", "size", "durations"})

    def __init__(self, task: Task, micro_batch_size: int | None = None, **common: Any) -> None:
        super().__init__(task, POPULATION, None, micro_batch_size, **common)
