"""Whether a task is what it has to be: a pure function from keys and counters to examples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from svl import random
from svl.errors import SettingError
from svl.tasks.task import Task

_Examples = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def check_pure(task: Task) -> None:
    """Call a task for a few examples several times, and compare.

    Each example must be the same when it is asked for again, in another order, with other examples, for another
    replica of the same key, or alone.

    Raises:
        SettingError: for a task whose examples differ.
    """
    for name, examples in (("examples", task.examples), ("test_examples", task.test_examples)):
        _check(type(task).__name__, name, examples)


def _check(kind: str, name: str, examples: _Examples) -> None:
    key, index = random.key(torch.arange(2)), torch.tensor([[0, 1, 2], [4, 2, 3]])
    first = examples(key, index)
    if not _same(first, examples(key, index)):
        allowed = f"a task whose {name} are the same each time they are called: draw random numbers by svl.random"
        raise SettingError("data.task", kind, f"{allowed}, from the key and the index, and not by torch.randn")
    turned = examples(key.flip(0), index.flip(0, 1))
    alone = examples(key[1:], index[1:, 1:2])
    if not _same([part.flip(0, 1) for part in turned], first) or not _same(alone, [part[1:, 1:2] for part in first]):
        allowed = f"a task whose {name} depend on their key and index alone, and not on their place in the batch"
        raise SettingError("data.task", kind, f"{allowed} or on the other examples in it")


def _same(parts: tuple[Tensor, ...] | list[Tensor], others: tuple[Tensor, ...] | list[Tensor]) -> bool:
    """Whether tensors are equal up to the rounding that products of other shapes have."""
    return all(
        one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-4, equal_nan=True)
        for one, other in zip(parts, others, strict=True)
    )
