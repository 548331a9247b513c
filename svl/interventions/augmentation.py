"""Augmentation: images are shifted and mirrored, anew in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from svl import random
from svl.checks import check_number, check_whole
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention
from svl.replicas import Replicas

if TYPE_CHECKING:
    from svl.data.draw import Settings
    from svl.data.reuse import ReuseDataModule


class Augmentation(DataIntervention):
    """Shifts training images by a random number of pixels in both directions, and mirrors some left to right.

    An image is drawn anew in each step, from the replica's key, the step and the image's index, so that a resumed fit
    sees the same images. Pixels that are shifted in are 0, which is the mean of standardised images. An image that is
    used twice in one batch is changed in the same way.

    Args:
        shift: largest number of pixels, at least 0; the shifts of -shift to shift are equally probable. Can vary by
            replica.
        flip: probability of being mirrored, 0 to 1. Can vary by replica.

    Raises:
        SettingError: for numbers out of range, and a task whose inputs are not images (channel, height, width).
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"shift", "flip"})

    def __init__(self, shift: int = 4, flip: float = 0.5) -> None:
        check_whole("shift", shift, 0, 2**20)
        self.shift, self.flip = shift, check_number("flip", flip, 0, 1)

    def check(self, key: str, data: ReuseDataModule) -> None:
        if len(data.task.input_shape) != 3 or data.task.vocabulary is not None:
            allowed = f"tasks whose inputs are images (channel, height, width), not {data.task.input_shape}"
            raise SettingError(key, f"Augmentation for {type(data.task).__name__}", allowed)

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        columns: dict[str, Any] = replicas.columns(prefix, self)
        return {
            "shift": torch.tensor(columns["shift"], dtype=torch.int64),
            "flip": torch.tensor(columns["flip"], dtype=torch.float32),
        }

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        key = random.fold(random.fold(batch.key, "augmentation"), batch.draw.step)[:, None]
        shift = settings["shift"][:, None]
        down, right = (random.integers(random.bits(key, batch.index, block), 2 * shift + 1) - shift for block in (0, 1))
        is_mirrored = random.uniform(random.bits(key, batch.index, 2)[0]) < settings["flip"][:, None]
        height, width = batch.inputs.shape[-2:]
        row = torch.arange(height, device=key.device) - down[..., None]
        column = torch.arange(width, device=key.device) - right[..., None]
        column = torch.where(is_mirrored[..., None], width - 1 - column, column)
        is_inside = _is_below(row, height)[..., :, None] & _is_below(column, width)[..., None, :]
        place = (row.clamp(0, height - 1) * width)[..., :, None] + column.clamp(0, width - 1)[..., None, :]
        pixels = batch.inputs.flatten(-2)
        moved = pixels.gather(-1, place.flatten(-2)[:, :, None].expand(pixels.shape)).view(batch.inputs.shape)
        return torch.where(is_inside[:, :, None], moved, 0.0), batch.targets


def _is_below(number: Tensor, size: int) -> Tensor:
    return (number >= 0) & (number < size)
