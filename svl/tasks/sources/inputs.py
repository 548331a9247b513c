"""Inputs as networks get them: the channel axis first, tokens as whole numbers, other numbers standardised."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from svl.errors import SettingError

Channels = Literal["first", "last"]
_COLOURS = (1, 3, 4)


class Shaping(NamedTuple):
    """The settings that say how inputs are arranged.

    Attributes:
        shape: as ``shape`` of :class:`svl.tasks.Dataset`.
        channels: which axis of an image is the channel's; ``None`` to find out.
        has_channels_first: whether it is known to be the first one.
    """

    shape: tuple[int, ...] | None
    channels: Channels | None
    has_channels_first: bool


def arrange(parts: list[np.ndarray], asked: Shaping) -> tuple[list[np.ndarray], str | None]:
    """Inputs in the shape that is asked for, images with the channel axis first, and a note where an axis was moved.

    Raises:
        SettingError: for images whose channel axis is not clear, and shapes of other sizes.
    """
    stored = parts[0].shape[1:] or (1,)
    channels, note = asked.channels, None
    if channels is not None and len(stored) != 3:
        raise SettingError("channels", channels, f"null: inputs are no images but of shape {stored}")
    if channels is None and len(stored) == 3 and not asked.has_channels_first and asked.shape is None:
        channels, note = _guess(stored)
    if channels == "last":
        parts = [np.moveaxis(part, -1, 1) for part in parts]
        stored = parts[0].shape[1:]
    shape = stored if asked.shape is None else asked.shape
    if math.prod(shape) != math.prod(stored):
        raise SettingError("shape", list(shape), f"{math.prod(stored)} numbers: inputs are {stored}")
    return [part.reshape(len(part), *shape) for part in parts], note


def _guess(stored: tuple[int, ...]) -> tuple[Channels, str | None]:
    """Which axis is the channel's: the one of 1, 3 or 4 values; and a note unless it is the first."""
    first, last = stored[0] in _COLOURS, stored[-1] in _COLOURS
    size = " x ".join(map(str, stored))
    if first and last:
        raise SettingError("channels", None, f"first or last: inputs are {size}, so either axis can be the channel's")
    if last:
        moved = " x ".join(map(str, (stored[-1], *stored[:-1])))
        return "last", f"inputs {size} are images with the channel last; networks get {moved} (channels: first if not)"
    note = f"inputs {size} are taken to have {stored[0]} channels (channels: last if the last axis is the channel's)"
    return "first", None if first else note


def check_tokens(parts: list[np.ndarray], vocabulary: int) -> list[Shaped[Tensor, "item position"]]:
    """Rows of tokens as tensors.

    Raises:
        SettingError: for inputs that are not rows of whole numbers from 0 to ``vocabulary`` - 1.
    """
    for part in parts:
        if part.ndim != 2 or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= vocabulary:
            inputs = f"{part.dtype} from {part.min()} to {part.max()} of shape {part.shape[1:]}"
            allowed = f"null, or inputs that are rows of tokens from 0 to vocabulary - 1; they are {inputs}"
            raise SettingError("vocabulary", vocabulary, allowed)
    return [torch.from_numpy(part.astype(np.int64)) for part in parts]


def standardise(parts: list[np.ndarray], by_column: bool) -> list[Shaped[Tensor, "item ..."]]:
    """Inputs minus their mean, divided by their standard deviation, both of the first part, which is trained on.

    Args:
        parts: training and test inputs.
        by_column: each number of an input by its own mean and deviation, where that is not 0, and not by those of all.

    Raises:
        SettingError: if all numbers of the inputs are the same.
    """
    axis = 0 if by_column else None
    mean, deviation = (value(parts[0], axis=axis, dtype=np.float64) for value in (np.mean, np.std))
    if np.all(deviation == 0):
        raise SettingError("standardise", True, "false: all numbers of the inputs are the same")
    if by_column:
        deviation = np.where(deviation == 0, 1.0, deviation)
    else:
        mean, deviation = float(mean), float(deviation)
    return [_tensor((exact(part) - mean) / deviation) for part in parts]


def as_they_are(parts: list[np.ndarray]) -> list[Shaped[Tensor, "item ..."]]:
    """Inputs as tensors of floats."""
    return [_tensor(exact(part)) for part in parts]


def exact(part: np.ndarray) -> np.ndarray:
    """Numbers at least as fine as float32: bytes and half floats are too coarse to calculate with."""
    return part.astype(np.promote_types(part.dtype, np.float32), copy=False)


def _tensor(values: np.ndarray) -> Shaped[Tensor, "item ..."]:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
