"""The identity of a run: which settings decide its numbers, and whether two configs are the same fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import yaml

from svl.config_file import flatten

FREE = (
    "ckpt_path",
    "run_id",
    "runs",
    "verbose",
    "wandb",
    "tracking",
    "figure",
    "checkpoint",
    "trainer.benchmark",
    "trainer.detect_anomaly",
    "trainer.deterministic",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.profiler",
    "trainer.max_time",
    "trainer.devices",
)
"""Settings that change no number of a run, so that they may differ when it is resumed."""
FREE_TO_RESUME = (
    *("trainer.max_steps", "trainer.callbacks", "trainer.logger", "target"),
    *("model.threads", "model.metrics"),
)
"""Settings that may differ when a run is resumed, which then says so: a fit can be longer and measured in other ways.

Another number of threads changes numbers by rounding alone.
"""
FREE_TO_MEASURE = (*FREE, *FREE_TO_RESUME, "trainer", "data.test_size", "model.measure_at", "model.steps_per_batch")
"""Settings that may differ when a checkpoint is evaluated."""
_NEW = {"model.optimizer.dampening": 0.0}
"""Settings that runs of an older svl lack, by what it did, where that is neither null nor false."""


def content_hash(config: str) -> str:
    """Name a fit by what it computes: equal for configs that differ only in where and how the fit is recorded.

    Settings that are null or false are left out: a setting that is new in svl is so by default, and names no other fit.

    Args:
        config: the resolved config.
    """
    free = (*FREE, "experiment")
    settings = {
        key: value
        for key, value in flatten(yaml.safe_load(config))
        if not _is_unused(key, value) and not any(key == name or key.startswith(f"{name}.") for name in free)
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def differences(before: Any, now: Any, free: Sequence[str] = FREE, key: str = "") -> list[tuple[str, Any, Any]]:
    """The settings in which two resolved configs differ: ``(key, before, now)``, keys without ``init_args``.

    A setting that only one of them has, and that is null or false there, is new in svl or gone: it is no difference.

    Args:
        free: settings that may differ, which are left out.
        key: of the two configs, where they are parts of larger ones.
    """
    if key in free:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for name in sorted({*before, *now}):
            part = key if name == "init_args" else f"{key}.{name}".lstrip(".")
            if (name in before and name in now) or not _is_unused(part, before.get(name, now.get(name))):
                found += differences(before.get(name), now.get(name), free, part)
        return found
    return [] if before == now else [(key, before, now)]


def _is_unused(key: str, value: Any) -> bool:
    """Whether a setting asks for nothing, as settings that are new in svl do by default."""
    return value is None or value is False or (key in _NEW and value == _NEW[key])
