"""Which items of a dataset are held out for the test set."""

from __future__ import annotations

import numpy as np
import torch

from svl import random
from svl.errors import SettingError
from svl.tasks.sources.items import Items
from svl.tasks.table import Table


def hold_out(items: Items, share: float, stratify: bool) -> tuple[Items, Items]:
    """The training items and a random fraction of test items, at least one, both in their stored order.

    Args:
        items: all items.
        share: the fraction, above 0 and below 1.
        stratify: whether each class has about the same fraction of its items held out.

    Raises:
        SettingError: for fewer than two items, or targets without classes where these are to be stratified.
    """
    count = len(items.targets)
    if count < 2:
        raise SettingError("dataset", f"{count} item", "two items or more: some are held out")
    # All replicas have the same test items, so the order does not depend on their seeds.
    key = random.fold(random.key(torch.zeros(1, dtype=torch.int64)), "held out")
    order = Table(torch.arange(count)).shuffled(key, torch.arange(count)[None])[0].numpy()
    if stratify:
        order = _by_class(items.targets, order)
    is_held = order < min(max(1, round(share * count)), count - 1)

    def part(rows: np.ndarray) -> Items:
        return items._replace(inputs=items.inputs[rows], targets=items.targets[rows])

    return part(~is_held), part(is_held)


def _by_class(targets: np.ndarray, order: np.ndarray) -> np.ndarray:
    """A new order in which the items of each class are spread evenly, and follow one another as in the old one."""
    if targets.ndim != 1:
        raise SettingError("stratify", True, "false: there is more than one target an item")
    _, number, counts = np.unique(targets, return_inverse=True, return_counts=True)
    sequence = np.lexsort((order, number))
    starts = np.cumsum(counts) - counts
    place = np.empty(len(order))
    place[sequence] = np.arange(len(order)) - starts[number[sequence]]
    rank = np.empty(len(order), dtype=np.int64)
    rank[np.lexsort((order, (place + 0.5) / counts[number]))] = np.arange(len(order))
    return rank
