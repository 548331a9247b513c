"""Batches in proportion to a pool."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from svl.checks import check_number
from svl.data.draw import Settings
from svl.errors import SettingError

if TYPE_CHECKING:
    from svl.data.reuse import ReuseDataModule


def check_ratio(key: str, ratio: Any) -> None:
    """Raise :class:`SettingError` unless ``ratio`` is a number above 0, or ``None``."""
    if ratio is not None and check_number(key, ratio, 0, math.inf, open_high=True) == 0:
        raise SettingError(key, ratio, "a number above 0, or null")


def batch_sizes(data: ReuseDataModule, key: str, ratios: list[Any], settings: Settings) -> Int[Tensor, "replica"]:
    """Examples in each replica's batches: ``ratio * k`` for a pool of k, at most ``batch_size``.

    A replica without a ratio, or whose data are fresh, has batches of ``batch_size``.

    Args:
        data: the strategy.
        key: name of the setting, for errors.
        ratios: each replica's ratio, or ``None``.
        settings: the strategy's.

    Raises:
        SettingError: for a strategy that has no single fixed pool, or a batch above ``batch_size``.
    """
    sets = data.sets(settings)
    restricted = list(settings["axes"])
    pools, total = sets[..., 1], 0
    if len(restricted) == 1:
        pools = settings["axes"][restricted[0]]["sizes"]
        total = data.task.axes[restricted[0]] or 0
    has_one_pool = len(restricted) < 2 and pools.shape[1] == sets.shape[1] == 1 and bool(pools.any() or total)
    if not has_one_pool or "batch_size" in getattr(data, "decided", ()):
        ratio = next(ratio for ratio in ratios if ratio is not None)
        allowed = "null, unless the strategy draws one batch per step from one fixed pool"
        raise SettingError(key, ratio, allowed)
    sizes = []
    for ratio, pool_size in zip(ratios, pools[:, 0].tolist(), strict=True):
        pool = pool_size or total
        size = data.batch_size if ratio is None or not pool else max(round(ratio * pool), 1)
        if size > data.batch_size:
            allowed = f"at most batch_size / k = {data.batch_size / pool:g} for a pool of {pool}"
            raise SettingError(key, ratio, allowed)
        sizes.append(size)
    return torch.tensor(sizes)
