"""The phase of each replica, when each phase began, and the accuracy that ended it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.results.atomic import replacing
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack


class PhaseLog(Measurement):
    """The phase of each replica: ``phase/number``, ``phase/size`` and ``phase/epoch``.

    ``phase/number`` is the number of the next step's phase, from 1; ``phase/size`` the number of examples in its set;
    ``phase/epoch`` the number of epochs in this phase so far, that is examples processed divided by size. Size and
    epoch are NaN if data are fresh. A strategy without phases has a single phase.

    When the fit ends or is stopped, ``phases.csv`` is written to the run directory, with a row for each replica and
    phase: seed and varied settings, ``phase``, ``size``, ``first_step``, and ``train/accuracy``, the accuracy over the
    last epoch if it ended the phase (see :class:`~svl.data.AutomaticPhases`).

    Cost: reads a few numbers for each replica, which is negligible.
    """

    metrics = ("phase/number", "phase/size", "phase/epoch")

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack = module.stack
        number, size, first_step = present_phase(stack, module.global_step)
        step = module.global_step
        samples = stack.data.samples(stack.settings, stack.state.data, step, 1) * (step - first_step)
        reused = torch.where(size > 0, size, math.nan)
        columns = ((number + 1).float(), reused, samples / reused)
        return dict(zip(self.metrics, columns, strict=True))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        with replacing(Path(trainer.default_root_dir) / "phases.csv") as path:
            phases(pl_module.stack, trainer.global_step).to_csv(path, index=False)


def present_phase(
    stack: ReplicaStack, step: int
) -> tuple[Int[Tensor, "replica"], Int[Tensor, "replica"], Int[Tensor, "replica"]]:
    """The phase of each replica at a step, from 0; the size of its set, 0 for fresh data; and its first step."""
    data, settings, state = stack.data, stack.settings, stack.state.data
    phase = data.phase(settings, state, torch.tensor(step, device=stack.key.device))
    row = torch.arange(len(phase), device=phase.device)
    return phase, data.sets(settings)[row, phase, 1], data.log(settings, state)[0][row, phase]


def phases(stack: ReplicaStack, step: int) -> pd.DataFrame:
    """A row for each phase of each replica that began before ``step``."""
    replicas, data = stack.replicas, stack.data
    first_step, accuracy = (part.cpu().numpy() for part in data.log(stack.settings, stack.state.data))
    size = data.sets(stack.settings)[..., 1].cpu().numpy()
    settings = {key: replicas.column(key, None) for key in replicas.vary}
    return pd.DataFrame([
        {
            "seed": replicas.seed[replica],
            **{key: column[replica] for key, column in settings.items()},
            "phase": phase + 1,
            "size": size[replica, phase],
            "first_step": first_step[replica, phase],
            "train/accuracy": accuracy[replica, phase],
        }
        for replica in range(len(replicas))
        for phase in range(first_step.shape[1])
        if 0 <= first_step[replica, phase] < step
    ])  # fmt: skip
