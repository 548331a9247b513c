"""Which phase each replica is in, and when and how well it ended the ones before."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from callbacks.measurement import Measurement
from svl.results.atomic import replacing
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack


class PhaseLog(Measurement):
    """``phase/number``, from 1, of the coming step's phase; ``phase/size``, the examples in its set; ``phase/epoch``.

    The last is how often that set has been gone through in this phase: examples processed over size. Both are NaN where
    data are fresh. Strategies without phases have one.

    When the fit ends or is stopped, ``phases.csv`` in the run directory has a row for each replica and phase: seed and
    varied settings, ``phase``, ``size``, ``first_step``, and ``train/accuracy``, that of the last epoch where it ended
    the phase (see :class:`~svl.data.AutomaticPhases`).

    Reads a few numbers per replica: free.
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
    """Each replica's phase at a step, from 0; the size of its set, 0 for fresh data; its first step."""
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
