"""The steps of a fit: which are measured, and the training dataloader, which yields ranges of steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Int

from svl.checks import check_whole
from svl.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from svl.data.step_loaders import StepLoaders

MeasureAt = Literal["logarithmic"] | list[int] | None


@dataclass(frozen=True)
class MeasuredSteps:
    """The steps after which a fit is measured: 0, the last, every so many, and others that are asked for.

    Args:
        total: optimisation steps of the fit.
        every: steps between two regular measurements.
        at: further steps, as a list, or ``logarithmic`` for 1, 2, 4, 8, ...

    Raises:
        SettingError: for a step that is not one of the fit.
    """

    total: int
    every: int
    at: MeasureAt = None

    def __post_init__(self) -> None:
        if isinstance(self.at, str) and self.at != "logarithmic":
            raise SettingError("measure_at", self.at, "logarithmic, a list of steps, or null")
        for step in self.at if isinstance(self.at, list) else ():
            check_whole("measure_at", step, 0, self.total, f"steps of the fit, 0 to {self.total}")

    @cached_property
    def further(self) -> list[int]:
        """The steps that ``every`` leaves out, in order; none is beyond the last step."""
        at = [2**power for power in range(self.total.bit_length())] if self.at == "logarithmic" else self.at or []
        return sorted({step for step in at if step <= self.total and step not in self._regular})

    @property
    def _regular(self) -> range:
        return range(0, self.total, self.every)

    def __contains__(self, step: int) -> bool:
        return step in self._regular or step == self.total or step in self._further_set

    def __len__(self) -> int:
        return len(self._regular) + 1 + len(self.further) - (self.total in self._further_set)

    @cached_property
    def _further_set(self) -> frozenset[int]:
        return frozenset(self.further)

    def place(self, step: int) -> int:
        """The number of a measurement, counted from 0 at step 0; between two measurements, that of the next."""
        regular = -(-min(step, self.total) // self.every)
        return regular + len([other for other in self.further if other < min(step, self.total)])


class Steps:
    """Yields ``(first step, number of steps)``; the loader's position is the trainer's step.

    A range ends at every multiple of the strategy's ``steps_per_batch``, at every measured step, and at the last.

    Args:
        data: the strategy, whose run length is fixed.
    """

    def __init__(self, data: StepLoaders) -> None:
        self.data = data

    def __len__(self) -> int:
        return -(-self.data.total_steps // self.data.steps_per_batch) + len(self._further_ends)

    def __iter__(self) -> Iterator[Int[Tensor, "2"]]:
        total, chunk, further = self.data.total_steps, self.data.steps_per_batch, self._further_ends
        start = self.data.trainer.global_step if self.data.trainer else 0
        while start < total:
            place = bisect_right(further, start)
            end = min(total, start - start % chunk + chunk, *further[place : place + 1])
            yield torch.tensor([start, end - start])
            start = end

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer's step is the loader's position, which tells Lightning that it can be resumed."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""

    @property
    def _further_ends(self) -> list[int]:
        """Ends of ranges that are neither multiples of ``steps_per_batch`` nor the last step."""
        measured, chunk = self.data.measured_steps, self.data.steps_per_batch
        return [step for step in measured.further if step % chunk and step < measured.total] if measured else []
