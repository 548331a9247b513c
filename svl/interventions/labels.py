"""Labels in place of the task's: random, permuted, or of a random teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.interventions.on_data import FRESH, Batch, DataIntervention
from svl.replicas import Replicas
from svl.tasks.task import Task

if TYPE_CHECKING:
    from svl.data.draw import Settings
    from svl.data.reuse import ReuseDataModule

Kind = Literal["task", "random", "permuted", "teacher"]
KINDS: tuple[str, ...] = get_args(Kind)


class Labels(DataIntervention):
    """Replaces labels by ones without information about the task, the same each time an example is used in a phase.

    Source: Liu et al. 2026, section 5.1, figures 4 (``random`` for parity, ``teacher`` for single-index models) and 20
    (``permuted``), and corollary 2.

    Args:
        kind: ``task``: the task's own; ``random``: uniform among the task's labels; ``permuted``: the labels of the
            phase's set in a random order (for fresh examples: those of other fresh ones); ``teacher``: those of another
            draw of the task's teacher. Can vary by replica.
        phases: the phases in which labels are replaced, counted from 1; all if omitted.

    Raises:
        SettingError: for an unknown kind, a phase below 1, or a task that has no such labels.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"kind"})

    def __init__(self, kind: Kind = "random", phases: list[int] | None = None) -> None:
        if kind not in KINDS:
            raise SettingError("kind", kind, ", ".join(KINDS))
        if phases is not None and (not isinstance(phases, list) or not phases):
            raise SettingError("phases", phases, "a list of phases, of which the first is 1")
        for phase in phases or []:
            check_whole("phases", phase, 1, allowed="phases, of which the first is 1")
        self.kind, self.phases = kind, phases

    def check(self, key: str, data: ReuseDataModule) -> None:
        task = data.task
        if task.per_position:
            raise SettingError(key, "Labels", f"tasks with one label an example, unlike {type(task).__name__}")

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        kinds = replicas.columns(prefix, self)["kind"]
        for kind in set(kinds):
            _check_kind(f"{prefix}kind", kind, data.task)
        sets = data.sets(settings)
        if self.phases and max(self.phases) > sets.shape[1]:
            allowed = f"phases 1 to {sets.shape[1]}, as many as {type(data).__name__} has here"
            raise SettingError(f"{prefix}phases", self.phases, allowed)
        self._kinds = [kind for kind in KINDS[1:] if kind in kinds]
        columns = {"kind": torch.tensor([KINDS.index(kind) for kind in kinds])}
        active = [self.phases is None or phase + 1 in self.phases for phase in range(sets.shape[1])]
        columns["active"] = torch.tensor(active).expand(len(kinds), -1)
        if "permuted" in kinds:
            plans = [random.permutation_plan([max(size, 1)]) for size in sets[..., 1].flatten().tolist()]
            self._walk = max(walk for _, _, walk in plans)
            sides = torch.tensor([[int(a), int(b)] for a, b, _ in plans])
            columns |= {"sets": sets, "sides": sides.view(sets.shape)}
        return columns

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        phase, targets = batch.phase()[:, None], batch.targets
        active = settings["active"].gather(1, phase)
        for kind in self._kinds:
            chosen = active & (settings["kind"] == KINDS.index(kind))[:, None]
            targets = torch.where(chosen, self._labels(kind, settings, batch, phase), targets)
        return batch.inputs, targets

    def _labels(self, kind: str, settings: dict[str, Tensor], batch: Batch, phase: Tensor) -> Tensor:
        key = random.fold(batch.key, f"{kind} labels")
        if kind == "teacher":
            return batch.task.labels(key, batch.inputs, batch.index)
        if kind == "random":
            count = batch.task.label_count
            assert count is not None
            return as_targets(random.integers(random.bits(key[:, None], batch.index), count), batch.targets)
        row = torch.arange(len(phase), device=phase.device)
        first, size = settings["sets"][row, phase[:, 0]].unbind(-1)
        sides = settings["sides"][row, phase[:, 0]]
        position = batch.index - first[:, None]
        inside = (position >= 0) & (position < size[:, None])
        round_keys = random.round_keys(random.fold(key, phase[:, 0])[:, None])
        extent = size[:, None].clamp(min=1)
        grid = (sides[:, :1], sides[:, 1:])
        moved = random.permutation(round_keys, torch.where(inside, position, 0), extent, grid, self._walk)
        return batch.examples(torch.where(inside, first[:, None] + moved, batch.index + FRESH))[1]


def _check_kind(key: str, kind: str, task: Task) -> None:
    name = type(task).__name__
    if kind == "random" and task.label_count is None:
        raise SettingError(key, kind, f"kinds other than random: {name} has real labels")
    if kind == "teacher" and not task.has_teacher:
        raise SettingError(key, kind, f"kinds other than teacher: {name} draws none (parity does with support: drawn)")


def as_targets(number: Int[Tensor, "replica batch"], like: Shaped[Tensor, "replica batch"]) -> Tensor:
    """Numbers of labels in the form of a task's targets: classes, or signs 1 and -1 for the numbers 0 and 1."""
    return 1.0 - 2.0 * number.to(like.dtype) if like.is_floating_point() else number
