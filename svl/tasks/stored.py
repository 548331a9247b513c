"""The identity of stored data, which a checkpoint keeps: a fit resumes only on the data that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svl.errors import SettingError
from svl.tasks.task import Task


def contents(task: Task) -> dict[str, Any]:
    """The hash of a task's stored data and those of its parts; empty if the settings determine the data."""
    return {} if task.digest is None else {"digest": task.digest, "parts": dict(task.parts)}


def check_unchanged(saved: Mapping[str, Any], task: Task, place: str) -> None:
    """Raise :class:`SettingError` if a task's stored data are not those of a checkpoint.

    Args:
        saved: what :func:`contents` returned for the checkpoint; empty for one that has no hash, which passes.
        task: with the data as they are now.
        place: where the task stands in the config.
    """
    before, now = saved.get("digest"), task.digest
    if before is None or before == now:
        return
    parts = saved.get("parts", {})
    changed = [name for name, value in task.parts.items() if name in parts and parts[name] != value]
    key = ".".join(part for part in (place, task.source_setting) if part)
    allowed = f"{before}, the data of the checkpoint: "
    allowed += f"{' and '.join(changed) if changed else 'they'} have changed since; begin a new run with the new data"
    raise SettingError(key, now, allowed)
