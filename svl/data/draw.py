"""What a strategy is asked for, one micro-batch of one step, and what it returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

Settings = dict[str, Any]
"""Settings that differ by replica, as tensors ``[replica, ...]``, by name; those of a part are a dict of their own."""
State = dict[str, Tensor]
"""What a strategy remembers from step to step, as tensors ``[replica, ...]``."""


class Draw(NamedTuple):
    """One micro-batch of every replica, as a strategy is asked for it.

    Attributes:
        settings: the strategy's (:meth:`~svl.data.reuse.ReuseDataModule.settings_of`).
        state: what it remembers.
        key: each replica's key.
        step: number of the optimisation step, from 0.
        micro: number of the micro-batch within the step, from 0.
        size: examples of the micro-batch.
        has_kernels: whether C++ kernels may draw the indices, which are the same with and without them.
    """

    settings: Settings
    state: State
    key: Int[Tensor, "replica 2"]
    step: Int[Tensor, ""]
    micro: Int[Tensor, ""]
    size: int
    has_kernels: bool = False


class MicroBatch(NamedTuple):
    """The examples that a step trains on.

    Attributes:
        inputs: ``[replica, batch, *input_shape]``.
        targets: ``[replica, batch, ...]``.
        weights: of each example in the step's mean; ``None`` means 1 / batch each.
    """

    inputs: Tensor
    targets: Tensor
    weights: Float[Tensor, "replica batch"] | None
