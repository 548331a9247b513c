"""Whether a loss fits a task, and what to do if it does not."""

from __future__ import annotations

from svl.errors import SettingError
from svl.losses.loss import Loss
from svl.losses.names import LOSSES, name_of
from svl.tasks.task import Task

_TARGETS = {
    "sign": "labels -1 and 1",
    "number": "real numbers",
    "vector": "rows of real numbers",
    "class": "classes numbered from 0",
}


def check_loss(loss: Loss, task: Task) -> None:
    """Raise :class:`SettingError` unless the loss fits the task's targets.

    The error says which losses fit, and which setting gives a task of stored data targets that this loss fits.
    """
    if loss.fits(task):
        return
    fitting = ", ".join(name for name, kind in LOSSES.items() if kind().fits(task))
    targets = f"{_TARGETS.get(task.target, task.target)}{' at every position' if task.per_position else ''}"
    allowed = f"{fitting or 'a loss of your own'} (for {type(task).__name__}), since targets are {targets}"
    name = name_of(type(loss))
    setting = next((setting for kind, setting in task.other_kinds.items() if kind in loss.targets), None)
    if setting:
        allowed += f"; or data.task.{setting}, which gives targets for {name}"
    raise SettingError("model.loss", name, allowed)
