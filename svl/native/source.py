"""Tasks whose examples the training loop makes in C++, where it needs them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from torch import Tensor

from svl import native


@dataclass(frozen=True)
class Source:
    """Makes examples of a task from their counters, inside a step of the loop: nothing is written to memory before.

    Args:
        library: that of the task, which has a function ``<library>_make`` (source.h).
        task: what the function is given.
        tensors: those to which ``task`` points.
        has_words: whether inputs are signs as bits; else they are numbers.
    """

    library: str
    task: ctypes.Structure
    tensors: tuple[Tensor, ...]
    has_words: bool

    @property
    def function(self) -> int | None:
        """Where the function is in memory."""
        return ctypes.cast(getattr(native.library(self.library), f"{self.library}_make"), ctypes.c_void_p).value
