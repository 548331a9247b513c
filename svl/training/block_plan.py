"""The blocks of a plan: which replicas are trained together, and which of their steps are computed in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from jaxtyping import Int
from torch import Tensor

from svl.data.draw import Settings
from svl.data.reuse import ReuseDataModule
from svl.training.blocks import StepRange, partition, view
from svl.training.spec import StackSpec


@dataclass(frozen=True)
class BlockPlan:
    """One block of a plan.

    Attributes:
        rows: which replicas.
        ranges: of steps that are computed in the same way.
    """

    rows: slice
    ranges: tuple[StepRange, ...]

    @property
    def replicas(self) -> int:
        """Number of replicas."""
        return int(self.rows.stop - self.rows.start)

    def calls(self, steps: int) -> int:
        """Micro-batches of so many steps."""
        ends = [part.first for part in self.ranges[1:]] + [steps]
        lengths = [max(min(end, steps) - part.first, 0) for part, end in zip(self.ranges, ends, strict=True)]
        return sum(length * part.micro_batches for length, part in zip(lengths, self.ranges, strict=True))


def blocks_of(spec: StackSpec, micro: int, size: int) -> tuple[BlockPlan, ...]:
    """Replicas whose steps are computed in the same way, cut into blocks.

    Args:
        micro: examples of a micro-batch.
        size: replicas that a block should have, where ``model.block_size`` leaves it open.
    """
    local = local_rows(spec)
    ranges = _ranges(spec, local, micro)
    runs = [len(list(run)) for _, run in groupby(ranges)]
    return tuple(
        BlockPlan(slice(local.start + part.start, local.start + part.stop), ranges[part.start])
        for part in partition(runs, spec.execution.block_size or size)
    )


def local_rows(spec: StackSpec) -> slice:
    """The replicas that this process computes."""
    return spec.team.rows(spec.replicas) if spec.team.divides_replicas else slice(0, spec.replicas)


def replicas_per_thread(spec: StackSpec) -> int:
    """Replicas of this process for each of its threads."""
    local = local_rows(spec)
    return -(-(local.stop - local.start) // (spec.execution.threads or torch.get_num_threads()))


def _ranges(spec: StackSpec, rows: slice, micro: int) -> list[tuple[StepRange, ...]]:
    """The ranges of steps of each of some replicas; asked for once for replicas that differ in their seeds alone."""
    settings, data = view(spec.settings, rows), type(spec.data)
    if data.micro_batches is ReuseDataModule.micro_batches and data.is_population is ReuseDataModule.is_population:
        return [_ranges_of(spec, settings, micro)] * (rows.stop - rows.start)
    columns = [_bits(leaf).view(len(leaf), -1) for leaf in _without_seed(settings)]
    nothing = torch.zeros(rows.stop - rows.start, 1, dtype=torch.int64)
    distinct, kinds = torch.cat([nothing, *columns], dim=1).unique(dim=0, return_inverse=True)
    # The first replica of each kind.
    first = torch.full((len(distinct),), len(kinds)).scatter_reduce(0, kinds, torch.arange(len(kinds)), "amin")
    by_kind = [_ranges_of(spec, view(settings, slice(replica, replica + 1)), micro) for replica in first.tolist()]
    return [by_kind[kind] for kind in kinds.tolist()]


def _without_seed(settings: Settings) -> list[Tensor]:
    """The tensors of a strategy's settings, and of its streams', apart from seeds."""
    return [
        leaf
        for name, part in settings.items()
        if name != "seed"
        for leaf in (_without_seed(part) if isinstance(part, dict) else [part])
    ]


def _bits(values: Tensor) -> Int[Tensor, "..."]:
    """Whole numbers that are equal where the values are."""
    return values.double().view(torch.int64) if values.is_floating_point() else values.long()


def _ranges_of(spec: StackSpec, settings: Settings, micro: int) -> tuple[StepRange, ...]:
    """One replica's ranges of steps."""
    data = spec.data
    return tuple(
        StepRange(step, count, data.is_population(settings, torch.tensor(step)))
        for step, count in data.micro_batches(settings, micro)
    )
