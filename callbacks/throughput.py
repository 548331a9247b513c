"""The speed of a fit and its memory."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch

_UNIT = 1 if sys.platform == "darwin" else 1024


class Throughput(pl.Callback):
    """Logs the speed of training since the previous measurement, and the peak memory of the fit so far.

    ``throughput/replica_steps_per_second`` and ``throughput/samples_per_second`` count all replicas together and
    exclude the time of measurements (the first steps include compilation); ``memory/peak_gib`` is the memory resident
    in this process, or allocated on the GPU. They are sent to the trainer's loggers (such as W&B) only. They are not in
    the history, so that two runs of the same fit have the same history, bit for bit.

    Cost: reads the clock and a few counters twice for each measurement, which is negligible.
    """

    def __init__(self) -> None:
        self._began: tuple[float, int, int] | None = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._began is None:
            self._began = _now(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._began is None or trainer.global_step not in pl_module.measured_steps:
            return
        began, now = self._began, _now(trainer, pl_module)
        self._began = None
        seconds, steps, samples = (after - before for before, after in zip(began, now, strict=True))
        values = {
            "step": trainer.global_step,
            "throughput/replica_steps_per_second": steps * len(pl_module.replicas) / seconds,
            "throughput/samples_per_second": samples / seconds,
            "memory/peak_gib": _peak_bytes(pl_module.device) / 2**30,
        }
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)


def _now(trainer: Any, module: Any) -> tuple[float, int, int]:
    """Seconds on the clock, steps and examples so far."""
    # Reading a number from a GPU waits for the queued steps, so it must come before the clock.
    samples = int(module.stack.record["samples"].sum())
    return time.perf_counter(), trainer.global_step, samples


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
