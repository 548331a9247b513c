"""Checks of a whole experiment, before any file is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import ProgressBar
from torchmetrics import Metric

from svl.checks import check_whole
from svl.cli.settings import Target, TrainerSettings
from svl.errors import SettingError, nearest
from svl.extras import require
from svl.results import statistics
from svl.training.replica_module import ReplicaModule
from svl.training.trainer_parts import check_callbacks

_MOST_LISTED = 20


def check_tracker(tracking: str, loggers: Any) -> None:
    """Refuse a tracker that is asked for besides loggers of Lightning, or whose package is not installed.

    Args:
        tracking: ``wandb``, ``tensorboard`` or ``none``.
        loggers: ``trainer.logger``.

    Raises:
        SettingError: naming the setting.
    """
    if loggers is not None and tracking == "tensorboard":
        raise SettingError("tracking", tracking, "left out where trainer.logger is given, which takes its place")
    if tracking == "tensorboard":
        require("tracking", "tensorboard")


def check_trainer(trainer: TrainerSettings) -> None:
    """Refuse options of the trainer that a stack of replicas cannot be trained with.

    Raises:
        SettingError: naming the setting.
    """
    check_whole("trainer.max_steps", trainer.max_steps, 1)
    check_whole("trainer.log_every_n_steps", trainer.log_every_n_steps, 1)
    known = {"auto", "gpu", *AcceleratorRegistry.available_accelerators()}
    if trainer.accelerator not in known:
        raise SettingError("trainer.accelerator", trainer.accelerator, ", ".join(sorted(known)))
    callbacks = trainer.callbacks or []
    check_callbacks(callbacks)
    if not trainer.enable_progress_bar and any(isinstance(callback, ProgressBar) for callback in callbacks):
        raise SettingError("trainer.enable_progress_bar", False, "true where trainer.callbacks have a progress bar")
    devices = trainer.devices
    if isinstance(devices, list):
        if not devices or len(set(devices)) < len(devices) or min(devices) < 0:
            raise SettingError("trainer.devices", devices, "a number of devices, or a list of distinct device indices")
    else:
        check_whole("trainer.devices", devices, 1)


def check_monitors(callbacks: Sequence[pl.Callback], known: Sequence[str], arms: Sequence[str]) -> None:
    """Refuse callbacks that monitor what is never measured, as ``EarlyStopping`` can.

    Args:
        callbacks: of the trainer.
        known: names of all metrics; the mean over all replicas is logged under each.
        arms: each arm's label; an arm's mean is logged as ``<metric>/<label>``.

    Raises:
        SettingError: naming the metrics that can be monitored.
    """
    logged = [*known, *(f"{metric}/{arm}" for metric in known for arm in arms)]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in logged:
            allowed = f"{', '.join(known)}, or one of them for an arm: {logged[-1]}{nearest(monitor, logged)}"
            raise SettingError("trainer.callbacks", f"{type(callback).__name__} that monitors {monitor}", allowed)


def check_experiment(name: str) -> None:
    """Refuse an experiment's name that leads out of the folder of all runs.

    Raises:
        SettingError: for an empty name, an absolute path, or a path with ``..``.
    """
    path = Path(name)
    if not name.strip() or path.is_absolute() or ".." in path.parts or path == Path():
        raise SettingError("experiment", name, "a name of a folder inside the folder of all runs")


def check_target(target: Target, known: Sequence[str]) -> None:
    """Refuse a target that is never measured.

    Args:
        known: names of all metrics.

    Raises:
        SettingError: naming the setting.
    """
    if target.metric not in known:
        more = f", and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        allowed = ", ".join(known[:_MOST_LISTED]) + more + nearest(target.metric, known)
        raise SettingError("target.metric", target.metric, allowed)
    if not math.isfinite(target.value) or (target.metric.endswith("accuracy") and not 0 < target.value <= 1):
        allowed = "a share, above 0 and at most 1" if target.metric.endswith("accuracy") else "a finite number"
        raise SettingError("target.value", target.value, allowed)


def check_direction(target: Target, metrics: Mapping[str, Metric]) -> None:
    """Refuse a target from the wrong side: only metrics whose names end in loss or perplexity are reached from above.

    Args:
        metrics: of torchmetrics, by name, which know whether higher is better.

    Raises:
        SettingError: for a metric of which lower is better and whose name does not say so.
    """
    name = target.metric.removeprefix("val/")
    is_better_above = metrics[name].higher_is_better if name in metrics else None
    if is_better_above is not None and is_better_above != statistics.is_better_above(name):
        allowed = f"a name that ends in loss if lower is better, and only then: model.metrics: {{{name}_loss: ...}}"
        raise SettingError("target.metric", target.metric, allowed)


def check_checkpoint(path: Path, model: ReplicaModule) -> int:
    """The step of a checkpoint, which must be complete, of this experiment and of data that have not changed.

    Raises:
        SettingError: for any other file.
    """
    data = model.stack.data
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        stored = checkpoint.get(type(data).__qualname__, {})
        saved, expected = checkpoint["state_dict"], model.state_dict()
        fits = "loops" in checkpoint and saved.keys() == expected.keys()
        step = int(checkpoint["global_step"])
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError("ckpt_path", str(path), f"a complete checkpoint ({reason[:120]})") from None
    data.load_state_dict(stored)
    fits = fits and all(_shape(saved[name]) == _shape(value) for name, value in expected.items())
    if not fits:
        raise SettingError("ckpt_path", str(path), "a checkpoint of this experiment")
    return step


def _shape(value: Any) -> Any:
    return getattr(value, "shape", None)
