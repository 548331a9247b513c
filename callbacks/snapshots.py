"""The weights of all replicas at measured steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch

from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.results.weights import snapshot


class Snapshots(pl.Callback):
    """Keeps the weights and buffers of all replicas in ``snapshots/<step>.pt`` of the run directory.

    ``svl.load(run).network(arm=..., seed=..., step=...)`` makes a plain network of one replica from them.

    Args:
        at: steps, each a measured one; ``logarithmic`` for 0 and the measured powers of two; ``None`` for every
            measured step.

    Raises:
        SettingError: for a step below 0; before training for one that is not measured.
    """

    def __init__(self, at: list[int] | Literal["logarithmic"] | None = None) -> None:
        if isinstance(at, list) and any(step < 0 for step in at):
            raise SettingError("at", at, "steps from 0 on")
        self.at = at

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        if stage != "fit":
            return
        measured = pl_module.measured_steps
        for step in self.at if isinstance(self.at, list) else ():
            if step not in measured:
                allowed = f"measured steps; model.measure_at adds some: [{step}]"
                raise SettingError("trainer.callbacks.Snapshots.at", step, allowed)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        is_measured = pl_module.is_fitting and pl_module.is_measuring and trainer.is_global_zero
        if not (is_measured and self._keeps(trainer.global_step)):
            return
        stack = pl_module.stack
        tensors = {name: value.cpu() for name, value in stack.network.state_dict().items()}
        tensors |= {name: value.cpu() for name, value in stack.state.buffers.items()}
        with replacing(snapshot(Path(trainer.default_root_dir), trainer.global_step)) as path:
            torch.save(tensors, path)

    def _keeps(self, step: int) -> bool:
        if self.at == "logarithmic":
            return step & (step - 1) == 0  # 0 and powers of two
        return self.at is None or step in self.at
