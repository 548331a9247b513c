"""Sizes of datasets: a number of examples, fresh data, or the whole population."""

from __future__ import annotations

from typing import Any

from svl.errors import SettingError
from svl.tasks.task import Task

ONLINE, POPULATION = "online", "population"
Size = int | str


def check_size(key: str, size: Any, task: Task, allow: tuple[str, ...] = (ONLINE, POPULATION)) -> Size:
    """A dataset size: an integer, ``online`` or ``population``.

    Raises:
        SettingError: for anything else, or a size above that of an enumerable population.
    """
    total = task.population_size
    limit = f"1 to {total} (the whole population)" if total else "1 to 2^62"
    allowed = ", ".join([limit, *(repr(word) for word in allow if word != POPULATION or total)])
    if isinstance(size, str) and size in allow:
        if size == POPULATION and total is None:
            raise SettingError(key, size, f"{allowed}; this task's population cannot be enumerated")
        return size
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= (total or 2**62):
        raise SettingError(key, size, allowed)
    return size


def check_fresh(key: str, examples: int, task: Task) -> None:
    """Refuse fresh data where a stored dataset runs out of them.

    Args:
        examples: how many a run needs.

    Raises:
        SettingError: saying how many there are.
    """
    if task.train_size is not None and examples > task.train_size:
        raise SettingError(
            key,
            ONLINE,
            f"a number of examples or {POPULATION!r}: {examples} fresh examples are needed, "
            f"{type(task).__name__} has {task.train_size}",
        )
