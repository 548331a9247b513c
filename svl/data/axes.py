"""Pools on an axis of diversity: a restricted number of contexts, subjects, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from svl.data.size import ONLINE, POPULATION, Size
from svl.errors import SettingError, check_whole, nearest
from svl.replicas import Replicas
from svl.tasks.task import Task, axis_index


@dataclass
class Axis:
    """How many values of an axis of diversity the training data have (Kotha et al. 2025, section 4.1).

    Args:
        size: k; or ``online`` for a new value with every example, or ``population`` for all of a finite axis. Can vary
            by replica.
    """

    size: Size = ONLINE

    per_replica = frozenset({"size"})


class Axes:
    """The axes of a task that a strategy restricts; the k values of a pool are the first k.

    Args:
        axes: by name.
        task: whose axes they are.

    Raises:
        SettingError: for an axis that the task does not have, or a size beyond it.
    """

    def __init__(self, axes: Mapping[str, Axis], task: Task) -> None:
        for name in axes:
            if name not in task.axes:
                own = ", ".join(task.axes) or f"none: {type(task).__name__} has no axis beside its examples"
                raise SettingError("data.axes", name, own + nearest(name, task.axes))
        self.task = task
        self.given = {name: axes.get(name, Axis(_whole(task, name))) for name in task.axes}
        for name, axis in self.given.items():
            self._check(name, axis.size)

    @property
    def variable(self) -> set[str]:
        """Settings that can vary by replica."""
        return {f"data.axes.{name}.{number}" for name in self.given for number in Axis.per_replica}

    def numbers(self, replicas: Replicas) -> dict[str, Int[Tensor, "replica"]]:
        """The pool on each restricted axis, by ``axis.<name>``; 0 where a replica uses the whole axis."""
        numbers = {}
        for name, axis in self.given.items():
            key, whole = f"data.axes.{name}.size", _whole(self.task, name)
            sizes = replicas.column(key, axis.size)
            for size in sizes:
                self._check(name, size)
            if key in replicas.vary or axis.size != whole:
                numbers[f"axis.{name}"] = torch.tensor([0 if size == whole else size for size in sizes])
        return numbers

    def indices(
        self, numbers: Mapping[str, Tensor], key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> dict[str, Int[Tensor, "replica batch"]]:
        """Each example's place on the restricted axes, a function of its own counter."""
        chosen = {}
        for name, total in self.task.axes.items():
            if f"axis.{name}" in numbers:
                size = numbers[f"axis.{name}"][:, None]
                # Without end, the whole axis is a value for each example.
                drawn = axis_index(key, name, index, torch.where(size > 0, size, total or 1))
                chosen[name] = drawn if total is not None else torch.where(size > 0, drawn, index)
        return chosen

    def pools(self, numbers: Mapping[str, Tensor]) -> dict[str, Int[Tensor, "replica"]]:
        """The size of the pool on each restricted axis; 0 where a replica uses the whole axis."""
        return {name: numbers[f"axis.{name}"] for name in self.task.axes if f"axis.{name}" in numbers}

    def _check(self, name: str, size: object) -> None:
        total, whole = self.task.axes[name], _whole(self.task, name)
        if size != whole:
            allowed = f"1 to {total or '2^62'}, {whole!r}"
            check_whole(f"data.axes.{name}.size", size, 1, total or 2**62, allowed)


def _whole(task: Task, name: str) -> str:
    """The word for all values of an axis."""
    return ONLINE if task.axes[name] is None else POPULATION
