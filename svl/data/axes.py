"""Pools on an axis of diversity: a restricted number of contexts, subjects, ..."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from svl import random
from svl.checks import check_number, check_whole
from svl.data import zipf_law
from svl.data.draw import Draw, Settings
from svl.data.size import ONLINE, POPULATION, Size
from svl.errors import SettingError, nearest
from svl.replicas import Replicas
from svl.tasks.task import Task, axis_index


@dataclass
class Axis:
    """How many values of an axis of diversity the training data have, and how often each.

    Source: Kotha et al. 2025, section 4 (pools), figure 5 (Zipf sampling) and figure 7 (curricula). All settings can
    vary by replica.

    Args:
        size: k; or ``online`` for a new value with every example, or ``population`` for all of a finite axis. A list
            is a curriculum: one pool after the other, each the beginning of the next.
        durations: steps of each pool of a curriculum. The last pool lasts to the end, so its duration may be omitted;
            so does the only pool outside of a curriculum.
        exponent: value number r of the pool is drawn with probability proportional to r^(-exponent); 0 is uniform.
    """

    size: Size | list[Size] = ONLINE
    durations: list[int] | None = None
    exponent: float = 0.0

    per_replica = frozenset({"size", "durations", "exponent"})

    @property
    def sizes(self) -> list[Any]:
        """The pools of the curriculum, or the only one."""
        return self.size if isinstance(self.size, list) else [self.size]


class Axes:
    """The axes of a task that a strategy restricts; the k values of a pool are the first k.

    Args:
        axes: by name.
        task: whose axes they are.

    Raises:
        SettingError: for an axis that the task does not have, or a pool, a duration or an exponent out of range.
    """

    def __init__(self, axes: Mapping[str, Axis], task: Task) -> None:
        for name in axes:
            if name not in task.axes:
                allowed = ", ".join(task.axes) or f"none: {type(task).__name__} has no axis besides its examples"
                raise SettingError("axes", name, allowed + nearest(name, task.axes))
        self.task = task
        self.axes = {name: axes.get(name, Axis(_whole(task, name))) for name in task.axes}
        for name, axis in self.axes.items():
            self._check(name, axis)

    @property
    def variable(self) -> set[str]:
        """Settings that can vary by replica, after ``axes.``."""
        return {f"{name}.{setting}" for name in self.axes for setting in Axis.per_replica}

    def prepare(self, replicas: Replicas, prefix: str = "data.") -> dict[str, dict[str, Tensor]]:
        """The settings of each restricted axis, as tensors ``[replica, ...]``.

        ``sizes``: the pools of each replica's curriculum, 0 for the whole axis; ``starts``: the step at which each pool
        comes into use; ``weights``: the cumulative weights of Zipf's law, and its ``exponent``.
        """
        settings = {}
        for name, axis in self.axes.items():
            key, whole = f"{prefix}axes.{name}.", _whole(self.task, name)
            columns = {setting: replicas.column(key + setting, getattr(axis, setting)) for setting in Axis.per_replica}
            rows = [copy.copy(axis) for _ in range(len(replicas))]
            for setting, column in columns.items():
                for row, value in zip(rows, column, strict=True):
                    setattr(row, setting, value)
            for row in rows:
                self._check(name, row, prefix)
            if all(row == Axis(whole) for row in rows):
                continue
            phases = max(len(row.sizes) for row in rows)
            sizes, starts = zip(*(self._curriculum(row, phases, whole) for row in rows), strict=True)
            settings[name] = {"sizes": torch.tensor(sizes)}
            if phases > 1:
                settings[name]["starts"] = torch.tensor(starts)
            if any(row.exponent for row in rows):
                total = self.task.axes[name] or 1
                largest = torch.tensor(sizes).where(torch.tensor(sizes) > 0, total).max(1).values
                exponent = torch.tensor([row.exponent for row in rows], dtype=torch.float64)
                settings[name]["weights"] = zipf_law.cumulative_weights(largest, exponent)
                settings[name]["exponent"] = exponent
        return settings

    def indices(self, draw: Draw, index: Int[Tensor, "replica batch"]) -> dict[str, Int[Tensor, "replica batch"]]:
        """Each example's place on the restricted axes, a function of its own counter and of the pool's size."""
        chosen, key = {}, draw.key
        for name, total in self.task.axes.items():
            if name not in draw.settings["axes"]:
                continue
            settings = draw.settings["axes"][name]
            size = _pool_size(settings, draw.step)[:, None]
            # On an axis without end, each example has a value of its own.
            extent = torch.where(size > 0, size, total or 1)
            drawn = axis_index(key, name, index, extent)
            if "weights" in settings:
                stream = random.fold(random.fold(key, "axis"), name)
                rank = zipf_law.rank(settings["weights"], stream, index, extent)
                drawn = torch.where(settings["exponent"][:, None] > 0, rank, drawn)
            chosen[name] = drawn if total is not None else torch.where(size > 0, drawn, index)
        return chosen

    def pools(self, settings: Settings) -> dict[str, Int[Tensor, "replica"]]:
        """The size of the last pool on each restricted axis; 0 where a replica uses the whole axis."""
        return {name: axis["sizes"][:, -1] for name, axis in settings["axes"].items()}

    def _curriculum(self, axis: Axis, phases: int, whole: str) -> tuple[list[int], list[int]]:
        """Pools and their first steps, the last repeated up to ``phases``."""
        sizes = [0 if size == whole else int(size) for size in axis.sizes]
        starts = list(accumulate((axis.durations or [])[: len(sizes) - 1], initial=0))
        return sizes + sizes[-1:] * (phases - len(sizes)), starts + starts[-1:] * (phases - len(sizes))

    def _check(self, name: str, axis: Axis, prefix: str = "") -> None:
        key, total, whole = f"{prefix}axes.{name}.", self.task.axes[name], _whole(self.task, name)
        sizes, durations, allowed = axis.sizes, axis.durations or [], f"1 to {total or '2^62'}, {whole!r}"
        if not sizes:
            raise SettingError(f"{key}size", axis.size, f"{allowed}, or a list of these")
        for size in sizes:
            if size != whole:
                check_whole(f"{key}size", size, 1, total or 2**62, allowed)
        ordered = [math.inf if size == whole else float(size) for size in sizes]
        if sorted(set(ordered)) != ordered:
            raise SettingError(f"{key}size", axis.size, "pools that grow from one to the next")
        is_alone = not isinstance(axis.size, list)
        if not isinstance(durations, list) or (not is_alone and len(durations) not in (len(sizes) - 1, len(sizes))):
            allowed = f"a list of {len(sizes) - 1} or {len(sizes)} numbers of steps"
            raise SettingError(f"{key}durations", axis.durations, allowed)
        for duration in durations:
            check_whole(f"{key}durations", duration, 1, allowed="whole numbers of steps, at least 1")
        exponent = check_number(f"{key}exponent", axis.exponent, 0, math.inf, open_high=True)
        if exponent and min(ordered[-1], total or math.inf) > zipf_law.LARGEST:
            raise SettingError(f"{key}exponent", exponent, f"0 for a pool of more than {zipf_law.LARGEST} values")


def _pool_size(settings: dict[str, Tensor], step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
    """The size of each replica's pool on an axis at a step."""
    sizes, starts = settings["sizes"], settings.get("starts")
    if starts is None:
        return sizes[:, 0]
    return sizes.gather(1, (step >= starts).sum(1, keepdim=True) - 1)[:, 0]


def _whole(task: Task, name: str) -> str:
    """The word for all values of an axis."""
    return ONLINE if task.axes[name] is None else POPULATION
