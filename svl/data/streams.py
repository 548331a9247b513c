"""Streams: further strategies whose batches some parameter groups take their gradients from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from svl.data.draw import Settings
from svl.errors import SettingError, within
from svl.replicas import Replicas
from svl.tasks.task import Task

if TYPE_CHECKING:
    from svl.data.reuse import ReuseDataModule


def make_stream(name: str, make: Callable[[Task], ReuseDataModule], task: Task, prefix: str) -> ReuseDataModule:
    """The strategy of one stream.

    Args:
        name: of the stream.
        make: makes the strategy for a task.
        task: what is learned.
        prefix: where the settings of the strategy that has the stream stand in the config.

    Raises:
        SettingError: naming the setting below ``streams``.
    """
    with within(f"streams.{name}"):
        stream = make(task)
        if stream.branches:
            raise SettingError("streams", [*stream.branches], "null: a stream has no streams")
    stream.prefix = f"{prefix}streams.{name}."
    return stream


def stream_settings(data: ReuseDataModule, settings: Settings, replicas: Replicas) -> dict[str, Settings]:
    """The settings of each stream; fresh data begin behind the sets of all strategies, also in ``settings``.

    Raises:
        SettingError: for a strategy with several batches a step, or one that waits for an accuracy.
    """
    by_stream = {}
    for name, stream in data.branches.items():
        of_stream = stream.settings_of(replicas)
        parts = [
            *stream.micro_batches(of_stream, stream.batch_size),
            *data.micro_batches(settings, data.batch_size),
        ]
        if stream.initial_state(of_stream) or any(count > 1 for _, count in parts):
            allowed = "strategies of one batch a step that do not wait for an accuracy"
            raise SettingError(stream.prefix.rstrip("."), type(stream).__name__, allowed)
        by_stream[name] = of_stream
    if by_stream:
        strategies = [(data, settings), *((data.branches[name], part) for name, part in by_stream.items())]
        behind = torch.stack([_end_of_sets(strategy, part) for strategy, part in strategies]).amax(0)
        for _, part in strategies:
            part["behind"] = behind
    return by_stream


def _end_of_sets(data: ReuseDataModule, settings: Settings) -> Int[Tensor, "replica"]:
    """The first index behind the sets that a strategy reuses, except for the enumerated population."""
    sets = data.sets(settings)
    if data.enumerates(settings):
        sets = torch.where(settings["enumerated"].view(len(sets), -1, 1), 0, sets)
    return sets.sum(-1).amax(1)
