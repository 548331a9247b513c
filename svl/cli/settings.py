"""Settings of a fit as a whole: the trainer's options and the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler


@dataclass
class TrainerSettings:
    """The options of Lightning's trainer that apply to a stack of replicas.

    Args:
        max_steps: optimisation steps.
        log_every_n_steps: steps between two measurements; step 0 and the last are always measured. See also
            ``model.measure_at``.
        max_time: time limit of the run, DD:HH:MM:SS; a stopped run can be resumed with a higher limit.
        accelerator: auto, cpu, gpu, ...
        devices: number of devices, or a list of device indices. They share the replicas, or each batch if there are
            fewer replicas than devices.
        callbacks: measurements such as NormRatio, and any callback of Lightning.
        logger: loggers in place of W&B; false for no logger.
        enable_progress_bar: show a progress bar on a terminal, or print a line every tenth of the run elsewhere.
        enable_model_summary: print the network's layers before training, with the parameters of all replicas together.
        profiler: one of Lightning's, such as simple; it measures Lightning's hooks, of which one batch is many steps.
        detect_anomaly: have autograd find the operation that made a gradient NaN; slow.
        deterministic: refuse operations of torch that have no deterministic form, or ``warn`` of them.
        benchmark: have cuDNN choose the fastest algorithms.
    """

    max_steps: int = 1000
    log_every_n_steps: int = 50
    max_time: str | None = None
    accelerator: str = "auto"
    devices: int | list[int] = 1
    callbacks: list[pl.Callback] | None = None
    logger: Logger | list[Logger] | bool | None = None
    enable_progress_bar: bool = True
    enable_model_summary: bool = False
    profiler: Profiler | str | None = None
    detect_anomaly: bool = False
    deterministic: bool | Literal["warn"] = False
    benchmark: bool | None = None


@dataclass
class Target:
    """The value of a metric at which a replica counts as having learned.

    Args:
        metric: column of the history.
        value: threshold, reached from below by accuracies and from above by losses.
    """

    metric: str = "val/accuracy"
    value: float = 0.9
