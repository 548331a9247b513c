"""Full-batch gradient descent on a subset, on the whole population, or on several of these in phases."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_whole
from svl.data.draw import Draw, Settings, State
from svl.data.phases import at, check_increasing, starts
from svl.data.pool import extents
from svl.data.reuse import ReuseDataModule
from svl.data.size import ONLINE, POPULATION, Size, check_size
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks.task import Task

_LEAST_MICRO_BATCH = 1024


class FullBatch(ReuseDataModule):
    """Full batches: every step uses all of the first ``size`` examples.

    Source: Liu et al. 2026, figure 2b and 2d; in phases, figure 4.

    Args:
        task: what is learned.
        size: N, or ``population`` for every input of an enumerable task; or a list of these, one for each
            phase, where each set contains the one before. Can vary by replica.
        durations: steps of each phase. The last phase lasts to the end, so its duration may be omitted; so does the
            only phase. Can vary by replica.
        micro_batch_size: examples whose activations are in memory at once; if ``None``, as many as fit the cache of a
            core. It changes results only by rounding.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.

    Raises:
        SettingError: for a size or a duration out of range, or phases that do not grow.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"size", "durations"})
    decided: ClassVar[frozenset[str]] = frozenset({"batch_size"})

    def __init__(
        self,
        task: Task,
        size: Size | list[Size],
        durations: list[int] | None = None,
        micro_batch_size: int | None = None,
        **common: Any,
    ) -> None:
        if micro_batch_size is not None:
            check_whole("micro_batch_size", micro_batch_size, 1)
        super().__init__(task, micro_batch_size or _LEAST_MICRO_BATCH, **common)
        sizes: Any = size if isinstance(size, list) else [size]
        if ONLINE in sizes:
            raise SettingError("size", size, "a number of examples or 'population': a full batch is finite")
        for value in sizes or [size]:
            check_size("size", value, task, (POPULATION,))
        check_increasing("size", sizes, task)
        allowed = f"a list of {len(sizes) - 1} or {len(sizes)} numbers of steps"
        if durations is not None and not isinstance(durations, list):
            raise SettingError("durations", durations, allowed)
        if isinstance(size, list) and len(durations or []) not in (len(sizes) - 1, len(sizes)):
            raise SettingError("durations", durations, allowed)
        for duration in durations or []:
            check_whole("durations", duration, 1, allowed="whole numbers of steps, at least 1")
        self.size, self.durations, self.micro_batch_size = size, durations, micro_batch_size

    def prepare(self, replicas: Replicas) -> Settings:
        columns = replicas.columns(self.prefix, self)
        values = columns.get("size", [self.size] * len(replicas))
        durations = columns.get("durations", [self.durations] * len(replicas))
        sizes = [size if isinstance(size, list) else [size] for size in values]
        phases = max(map(len, sizes))
        starting = [starts(len(row), steps or [], phases) for row, steps in zip(sizes, durations, strict=True)]
        sizes = [row + row[-1:] * (phases - len(row)) for row in sizes]
        flat = [size for row in sizes for size in row]
        self._enumerates = POPULATION in flat
        enumerated = torch.tensor([size == POPULATION for size in flat])
        extent = extents(flat, self.task).view(-1, phases)
        return {"sizes": extent, "starts": torch.tensor(starting), "enumerated": enumerated.view_as(extent)}

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return torch.stack((torch.zeros_like(settings["sizes"]), settings["sizes"]), dim=-1)

    def phase(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
        return (step >= settings["starts"]).sum(1) - 1

    def log(
        self, settings: Settings, state: State
    ) -> tuple[Int[Tensor, "replica phase"], Float[Tensor, "replica phase"]]:
        return settings["starts"], torch.full(settings["starts"].shape, math.nan)

    def enumerated(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        return at(settings["enumerated"], self.phase(settings, state, step)) if self._enumerates else None

    def examples_at_once(self, settings: Settings, most: int) -> int:
        subsets = settings["sizes"][~settings["enumerated"]]
        if self.micro_batch_size is not None or not len(subsets):
            return self.batch_size
        # The smallest subset is divided evenly: what lies beyond the end of a subset in its last micro-batch is wasted.
        smallest = max(int(subsets.min()), _LEAST_MICRO_BATCH)
        even = -(-smallest // -(-smallest // max(most, _LEAST_MICRO_BATCH)))
        return min(even, int(subsets.max()))

    def is_population(self, settings: Settings, step: Int[Tensor, ""]) -> bool:
        return bool(at(settings["enumerated"], self.phase(settings, {}, step)).all())

    def micro_batches(self, settings: Settings, size: int) -> list[tuple[int, int]]:
        changes = settings["starts"].unique().tolist()
        most = (at(settings["sizes"], self.phase(settings, {}, torch.tensor(step))).max() for step in changes)
        return [(step, -(-int(examples) // size)) for step, examples in zip(changes, most, strict=True)]

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        offset = torch.arange(draw.size, device=draw.key.device)
        return (draw.micro * draw.size + offset).expand(draw.key.shape[0], -1)

    def weights(self, draw: Draw, index: Int[Tensor, "replica batch"]) -> Float[Tensor, "replica batch"]:
        size = at(draw.settings["sizes"], self.phase(draw.settings, draw.state, draw.step))[:, None]
        return (index < size) / size

    def samples(self, settings: Settings, state: State, first: int, steps: int) -> Int[Tensor, "replica"]:
        begins = settings["starts"]
        ends = torch.cat((begins[:, 1:], torch.full_like(begins[:, :1], 2**62)), dim=1)
        return (settings["sizes"] * (ends.clamp(max=first + steps) - begins.clamp(min=first)).clamp(min=0)).sum(1)
