"""Automatic phases: each replica moves to its next, larger set once it has learned the present one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_whole
from svl.data.draw import Draw, Settings, State
from svl.data.phases import PhaseSize, at, phase_indices, resolve_fractions
from svl.data.pool import REUSES, Pool, Reuse
from svl.data.reuse import ReuseDataModule
from svl.data.size import check_size
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks.task import Task


class AutomaticPhases(ReuseDataModule):
    """Phases of growing nested sets, with geometric sizes; a replica advances on its own at the end of an epoch.

    Source: Liu et al. 2026, figure 19.

    It advances when its mean train accuracy over that epoch reaches ``accuracy``, where each batch is measured before
    the step that trains on it; or when ``max_epochs`` epochs of the phase have elapsed. An epoch is
    ceil(size / batch_size) steps.

    Args:
        task: what is learned; must have an accuracy.
        phases: number of phases.
        first: size of the first phase: examples, or a fraction of the data an online run of this length sees.
        last: size of the last phase, given in the same way.
        accuracy: train accuracy at which a replica advances, in (0, 1].
        max_epochs: epochs of a phase after which it advances whatever its accuracy.
        reuse: ``epochs`` or ``replacement`` within a phase.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.

    Raises:
        SettingError: for a threshold or a size out of range.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"first", "last", "accuracy", "max_epochs"})

    def __init__(
        self,
        task: Task,
        phases: int = 6,
        first: PhaseSize = 1 / 320,
        last: PhaseSize = 1 / 50,
        accuracy: float = 0.75,
        max_epochs: int = 50,
        reuse: Reuse = "epochs",
        **common: Any,
    ) -> None:
        super().__init__(task, **common)
        if not task.has_accuracy:
            raise SettingError("task", type(task).__name__, "a task with an accuracy")
        check_whole("phases", phases, 2)
        for key, size in (("first", first), ("last", last)):
            if not (isinstance(size, float) and 0 < size < 1):
                check_size(key, size, task, ())
        if isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 < accuracy <= 1:
            raise SettingError("accuracy", accuracy, "above 0, at most 1")
        check_whole("max_epochs", max_epochs, 1)
        if reuse not in REUSES:
            raise SettingError("reuse", reuse, "'epochs' or 'replacement'")
        self.phases, self.first, self.last, self.accuracy = phases, first, last, float(accuracy)
        self.max_epochs, self.reuse = max_epochs, reuse

    def prepare(self, replicas: Replicas) -> Settings:
        columns = replicas.columns(self.prefix, self)
        online = self.total_steps * self.batch_size
        ends = [
            resolve_fractions(f"{self.prefix}first", [first, last], online, self.task)
            for first, last in zip(columns["first"], columns["last"], strict=True)
        ]
        ratio = torch.linspace(0, 1, self.phases, dtype=torch.float64)
        first, last = torch.tensor(ends, dtype=torch.float64).unbind(1)
        sizes = (first[:, None] * (last / first)[:, None] ** ratio).round().to(torch.int64)
        self.pool = Pool(sizes.flatten(), self.batch_size, self.reuse)
        return {
            "sizes": sizes,
            "sides": self.pool.sides(sizes),
            "first_index": torch.zeros_like(sizes),
            "fresh_start": sizes[:, -1],
            "epoch_steps": -(-sizes // self.batch_size),
            "accuracy": torch.tensor(columns["accuracy"], dtype=torch.float32),
            "max_epochs": torch.tensor(columns["max_epochs"]),
        }

    def initial_state(self, settings: Settings) -> State:
        zero = torch.zeros_like(settings["max_epochs"])
        began = torch.full_like(settings["sizes"], -1)
        began[:, 0] = 0
        return {
            "phase": zero,
            "step": zero.clone(),
            "step_in_phase": zero.clone(),
            "epoch_accuracy": zero.to(torch.float32),
            "began": began,
            "learned": torch.full(began.shape, -1.0),
        }

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return torch.stack((settings["first_index"], settings["sizes"]), dim=-1)

    def phase(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
        return state["phase"]

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        position = self.positions(draw, draw.state["step_in_phase"])
        return phase_indices(self.pool, draw, draw.state["phase"], position, self.positions(draw, draw.step))

    def advance(self, settings: Settings, state: State, accuracy: Float[Tensor, "replica"]) -> State:
        epoch_steps = at(settings["epoch_steps"], state["phase"])
        step = state["step_in_phase"] + 1
        total = state["epoch_accuracy"] + accuracy
        ended = step % epoch_steps == 0
        # Rounding must not keep a replica that is exactly at the threshold from advancing.
        learned = total >= (settings["accuracy"] - 1e-6) * epoch_steps
        is_overdue = step // epoch_steps >= settings["max_epochs"]
        advances = ended & (learned | is_overdue) & (state["phase"] < self.phases - 1)
        number = torch.arange(self.phases, device=step.device)
        left = advances[:, None] & (number == state["phase"][:, None])
        entered = advances[:, None] & (number == state["phase"][:, None] + 1)
        return {
            "phase": state["phase"] + advances,
            "step": state["step"] + 1,
            "step_in_phase": torch.where(advances, 0, step),
            "epoch_accuracy": torch.where(ended, 0.0, total),
            "began": torch.where(entered, state["step"][:, None] + 1, state["began"]),
            "learned": torch.where(left, (total / epoch_steps)[:, None], state["learned"]),
        }

    def ahead(self, state: State, steps: Int[Tensor, "*replica"]) -> State:
        return {**state, "step_in_phase": state["step_in_phase"] + steps}

    def certain_steps(self, settings: Settings, state: State) -> Int[Tensor, "replica"]:
        epoch_steps = at(settings["epoch_steps"], state["phase"])
        return epoch_steps - state["step_in_phase"] % epoch_steps

    def log(
        self, settings: Settings, state: State
    ) -> tuple[Int[Tensor, "replica phase"], Float[Tensor, "replica phase"]]:
        return state["began"], torch.where(state["learned"] < 0, math.nan, state["learned"])
