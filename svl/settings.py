"""Settings that belong to no one part of a fit, and checks of the whole before any file is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.loggers import Logger

from callbacks.measurement import Measurement
from svl.checks import check_whole
from svl.errors import SettingError, nearest
from svl.training.replica_module import ReplicaModule

_MOST_LISTED = 20


@dataclass
class TrainerSettings:
    """What of Lightning's trainer means something for a stack of replicas.

    Args:
        max_steps: optimisation steps.
        log_every_n_steps: steps between two measurements; step 0 and the last are always measured.
        max_time: stop when the run has lasted this long, DD:HH:MM:SS; with more time it can go on.
        accelerator: auto, cpu, gpu, ...
        devices: how many, or a list of their numbers; they share the replicas, or each batch if replicas are fewer.
        callbacks: measurements such as NormRatio, and any callback of Lightning.
        logger: loggers instead of W&B; false for none.
        enable_progress_bar: a bar on a terminal, and a line every tenth of the run elsewhere.
    """

    max_steps: int = 1000
    log_every_n_steps: int = 50
    max_time: str | None = None
    accelerator: str = "auto"
    devices: int | list[int] = 1
    callbacks: list[pl.Callback] | None = None
    logger: Logger | list[Logger] | bool | None = None
    enable_progress_bar: bool = True


@dataclass
class Target:
    """What counts as learned.

    Args:
        metric: column of the history.
        value: to be reached from below (accuracies) or from above (losses).
    """

    metric: str = "val/accuracy"
    value: float = 0.9


def check_trainer(trainer: TrainerSettings) -> None:
    """Refuse what a stack cannot be trained with.

    Raises:
        SettingError: naming the setting.
    """
    check_whole("trainer.max_steps", trainer.max_steps, 1)
    check_whole("trainer.log_every_n_steps", trainer.log_every_n_steps, 1)
    known = {"auto", "gpu", *AcceleratorRegistry.available_accelerators()}
    if trainer.accelerator not in known:
        raise SettingError("trainer.accelerator", trainer.accelerator, ", ".join(sorted(known)))
    devices = trainer.devices
    if isinstance(devices, list):
        if not devices or len(set(devices)) < len(devices) or min(devices) < 0:
            raise SettingError("trainer.devices", devices, "a number of devices, or a list of different ones")
    else:
        check_whole("trainer.devices", devices, 1)


def check_experiment(name: str) -> None:
    """Refuse a name that leads out of the folder of all runs.

    Raises:
        SettingError: for an empty one, an absolute path, or one with ``..``.
    """
    path = Path(name)
    if not name.strip() or path.is_absolute() or ".." in path.parts or path == Path():
        raise SettingError("experiment", name, "a name for a folder below that of all runs")


def check_target(target: Target, model: ReplicaModule, measurements: list[Any]) -> None:
    """Refuse a target that is never measured.

    Raises:
        SettingError: naming the setting.
    """
    known = model.stack.metrics
    for measurement in measurements:
        known += measurement.names(model) if isinstance(measurement, Measurement) else ()
    if target.metric not in known:
        more = f", and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        allowed = ", ".join(known[:_MOST_LISTED]) + more + nearest(target.metric, known)
        raise SettingError("target.metric", target.metric, allowed)
    if not math.isfinite(target.value) or (target.metric.endswith("accuracy") and not 0 < target.value <= 1):
        allowed = "above 0, at most 1: a share" if target.metric.endswith("accuracy") else "a finite number"
        raise SettingError("target.value", target.value, allowed)


def check_checkpoint(path: Path, model: ReplicaModule) -> int:
    """The step of a checkpoint; refuses a file that is not a whole checkpoint of this experiment.

    Raises:
        SettingError: saying what is wrong with it.
    """
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        saved, own = checkpoint["state_dict"], model.state_dict()
        fits = "loops" in checkpoint and saved.keys() == own.keys()
        step = int(checkpoint["global_step"])
    except Exception as error:  # a file that is no checkpoint fails in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError("ckpt_path", str(path), f"a whole checkpoint ({reason[:120]})") from None
    fits = fits and all(getattr(saved[name], "shape", None) == getattr(own[name], "shape", None) for name in own)
    if not fits:
        raise SettingError("ckpt_path", str(path), "a checkpoint of this experiment")
    return step
