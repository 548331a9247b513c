"""Writes the history of a fit, one row for each measurement and replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from svl.results import arm_means, history, statistics
from svl.results.arms import metrics as metric_names
from svl.results.arms import with_arms
from svl.results.quantity import setting
from svl.training.replica_module import ReplicaModule


class History(pl.Callback):
    """Writes each measurement to the run's history, and sends each arm's means to the loggers.

    It acts at the end of Lightning's validation, when :attr:`~svl.training.ReplicaModule.measured` has what the module
    and every :class:`~callbacks.measurement.Measurement` have measured. Logged are each arm's means with their
    intervals (see :mod:`svl.results.arm_means`), which takes a few milliseconds. The rows are kept in memory and
    written just before the next checkpoint, whichever callback writes it, so that a checkpoint never lacks the rows of
    its steps.

    Args:
        run_dir: the run directory.
        metric: the target's metric.
        target: the value that this metric has to pass.
    """

    def __init__(self, run_dir: Path, metric: str, target: float) -> None:
        self.run_dir, self.metric, self.target = run_dir, metric, target
        self._rows: list[pd.DataFrame] = []
        self._reached: Bool[ndarray, "*replica"] = np.array(False)
        self.latest: pd.DataFrame | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        pl_module.logs_means = False

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        # Before the first step of a fit that is not resumed Lightning validates, which measures step 0.
        if not trainer.ckpt_path and trainer.is_global_zero:
            history.discard_after(self.run_dir, -1)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self.latest is None and trainer.ckpt_path and trainer.is_global_zero:
            # A step that is to be measured again gets its rows then.
            history.discard_after(self.run_dir, trainer.global_step - pl_module.awaits_measurement)
            replicas = pl_module.replicas
            rows = with_arms(history.read(self.run_dir), list(replicas.vary), replicas.arm_names)
            # The last row of each replica: of one that has stopped, an earlier one.
            last = rows.drop_duplicates(["arm", "seed"], keep="last").set_index(["arm", "seed"], drop=False)
            self.latest = last.loc[list(zip(replicas.arm, replicas.seed, strict=True))].reset_index(drop=True)
            self._reached = arm_means.reached(rows, self.metric, self.target)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not (pl_module.is_fitting and pl_module.is_measuring):
            return
        frame = self.latest = frame_of(pl_module, trainer.global_step, pl_module.measured)
        if trainer.is_global_zero:
            stopped_at = pl_module.stack.stopped_at.numpy()
            self._rows.append(frame[(stopped_at < 0) | (stopped_at >= trainer.global_step)])
            self._log(trainer, pl_module.replicas, frame, list(pl_module.measured))

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        # A kill before the checkpoint is complete leaves rows that the resumed fit discards, never a gap.
        self.flush()

    def flush(self) -> None:
        """Write the rows measured since the last call."""
        if self._rows:
            history.append(self.run_dir, pd.concat(self._rows, ignore_index=True))
            self._rows.clear()

    def values(self, module: ReplicaModule) -> dict[str, float]:
        """The numbers of the latest measurement that loggers receive, by name: :func:`svl.results.arm_means.values`."""
        assert self.latest is not None
        replicas = module.replicas
        metrics = metric_names(self.latest, list(replicas.vary))
        return arm_means.values(self.latest, metrics, replicas.named_arms, self._reached)

    def _log(self, trainer: pl.Trainer, replicas: Any, frame: pd.DataFrame, metrics: list[str]) -> None:
        self._reached = self._reached | statistics.passes(frame[self.metric].to_numpy(), self.metric, self.target)
        if trainer.loggers:
            for row in arm_means.rows(frame, metrics, replicas.named_arms, self._reached):
                for logger in trainer.loggers:
                    logger.log_metrics(row, step=trainer.global_step)


def frame_of(module: ReplicaModule, step: int, metrics: dict[str, Float[Tensor, "replica"]]) -> pd.DataFrame:
    """The history's rows of one measurement: one per replica; a diverged replica's metrics are NaN."""
    record, replicas = module.stack.record, module.replicas
    diverged = (record["diverged_at"] >= 0).cpu()
    return pd.DataFrame({
        "step": step,
        "samples": record["samples"].cpu().numpy(),
        "arm": replicas.arm,
        "seed": replicas.seed,
        **{key: [_cell(value) for value in replicas.column(key, None)] for key in replicas.vary},
        **{name: value.cpu().masked_fill(diverged, float("nan")).numpy() for name, value in metrics.items()},
        "diverged": diverged.numpy(),
    })  # fmt: skip


def _cell(value: Any) -> Any:
    """A varied value as a cell of the history: lists as text."""
    return setting(value) if isinstance(value, list) else value
