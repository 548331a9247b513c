"""Training in phases: first on a small subset, then on larger ones."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.data.draw import Draw, Settings, State
from svl.data.pool import REUSES, Pool, Reuse, extents
from svl.data.reuse import ReuseDataModule
from svl.data.size import ONLINE, POPULATION, check_fresh, check_size
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks.task import Task

PhaseSize = int | float | str
_NEVER = 2**62


class Phases(ReuseDataModule):
    """Training in phases: phase p trains as :class:`Subset` on ``sizes[p]`` examples for ``durations[p]``.

    Source: Liu et al. 2026, section 2 and appendix B.1.

    Args:
        task: what is learned.
        sizes: for each phase: examples; or a fraction of the data an online run of this length sees; or ``online`` or
            ``population``. Can vary by replica, also in number; a single phase is the same as :class:`Subset`.
        durations: length of each phase; the last phase lasts to the end, so its duration is ignored and may be omitted.
            Can vary by replica.
        unit: whether durations are numbers of ``steps`` or of ``epochs``, of the phase's own size.
        nested: whether each phase's examples contain those of the phase before; otherwise they are disjoint.
        reuse: ``epochs`` or ``replacement`` within a phase.
        **common: what every strategy has: see :class:`~svl.data.reuse.ReuseDataModule`.

    Raises:
        SettingError: for phases that are empty, not increasing (if nested), or of unequal number.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"sizes", "durations"})

    def __init__(
        self,
        task: Task,
        sizes: list[PhaseSize],
        durations: list[int],
        unit: Literal["steps", "epochs"] = "steps",
        nested: bool = True,
        reuse: Reuse = "epochs",
        **common: Any,
    ) -> None:
        super().__init__(task, **common)
        if not isinstance(sizes, list) or not sizes:
            raise SettingError("sizes", sizes, "a list of one or more sizes")
        if not isinstance(durations, list) or len(durations) not in (len(sizes) - 1, len(sizes)):
            raise SettingError("durations", durations, f"a list of {len(sizes) - 1} or {len(sizes)} durations")
        if unit not in ("steps", "epochs"):
            raise SettingError("unit", unit, "'steps' or 'epochs'")
        for duration in durations:
            check_whole("durations", duration, 1, allowed=f"whole numbers of {unit}, at least 1")
        if not isinstance(nested, bool):
            raise SettingError("nested", nested, "true or false")
        if reuse not in REUSES:
            raise SettingError("reuse", reuse, "'epochs' or 'replacement'")
        self.sizes = [size if _is_fraction(size) else check_size("sizes", size, task) for size in sizes]
        if unit == "epochs" and ONLINE in self.sizes[: len(sizes) - 1]:
            raise SettingError("unit", unit, "'steps' where a phase before the last is online")
        self.durations, self.unit, self.nested, self.reuse = list(durations), unit, nested, reuse
        if nested:
            check_increasing("sizes", self.sizes, task)

    def prepare(self, replicas: Replicas) -> Settings:
        columns = replicas.columns(self.prefix, self)
        online = self.total_steps * self.batch_size
        sizes = [
            resolve_fractions(f"{self.prefix}sizes", row, online, self.task, self.nested) for row in columns["sizes"]
        ]
        counts = [len(row) for row in sizes]
        phases = max(counts)
        # Rows are padded with phases that never begin.
        sizes = [row + row[-1:] * (phases - len(row)) for row in sizes]
        flat = [size for row in sizes for size in row]
        extent = extents(flat, self.task).view(len(sizes), -1)
        last = torch.tensor(counts)[:, None] - 1
        is_phase = torch.arange(phases) <= last
        self.pool = Pool(extent.flatten(), self.batch_size, self.reuse)
        self._enumerates = POPULATION in flat
        rows = zip(extent.tolist(), columns["durations"], counts, strict=True)
        begins = torch.tensor([self._starts(row, steps, count) for row, steps, count in rows])
        enumerated = torch.tensor([size == POPULATION for size in flat]).view_as(extent)
        together = extent.where(is_phase, 0).sum(1)
        fresh_start = extent.max(1).values if self.nested else together
        if not self.nested:
            check_fresh(f"{self.prefix}sizes", int(together.max()), self.task)
        if ONLINE in flat:
            check_fresh(f"{self.prefix}sizes", int(fresh_start.max()) + online, self.task)
        before = torch.zeros_like(extent) if self.nested else (extent.cumsum(1) - extent).where(~enumerated, 0)
        before = before.gather(1, torch.arange(phases).minimum(last))
        return {
            "sizes": extent,
            "sides": self.pool.sides(extent),
            "starts": begins,
            "first_index": before,
            "fresh_start": fresh_start,
            "enumerated": enumerated,
        }

    def _starts(self, extent: list[int], durations: list[int], count: int) -> list[int]:
        steps = durations[: count - 1]
        if self.unit == "epochs":
            steps = [epochs * -(-size // self.batch_size) for epochs, size in zip(steps, extent, strict=False)]
        return starts(count, steps, len(extent))

    def enumerated(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        return at(settings["enumerated"], self.phase(settings, state, step)) if self._enumerates else None

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        return torch.stack((settings["first_index"], settings["sizes"]), dim=-1)

    def phase(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
        return (step >= settings["starts"]).sum(1) - 1

    def log(
        self, settings: Settings, state: State
    ) -> tuple[Int[Tensor, "replica phase"], Float[Tensor, "replica phase"]]:
        return settings["starts"], torch.full(settings["starts"].shape, math.nan)

    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        phase = self.phase(draw.settings, draw.state, draw.step)
        position = self.positions(draw, draw.step - at(draw.settings["starts"], phase))
        return phase_indices(self.pool, draw, phase, position, self.positions(draw, draw.step))


def starts(phases: int, durations: list[int], count: int) -> list[int]:
    """The first step of each of ``count`` phases, of which only the first ``phases`` ever begin."""
    first_steps = [min(start, _NEVER) for start in accumulate(durations[: phases - 1], initial=0)]
    return first_steps + [_NEVER] * (count - len(first_steps))


def at(table: Tensor, phase: Int[Tensor, "replica"]) -> Tensor:
    """The entry of each replica's own phase in a table ``[replica, phase, ...]``."""
    return table[torch.arange(len(table), device=table.device), phase]


def phase_indices(
    pool: Pool, draw: Draw, phase: Int[Tensor, "replica"], position: Tensor, fresh: Tensor
) -> Int[Tensor, "replica batch"]:
    """Indices of one batch, each replica in its own phase, at ``position`` in it."""
    settings = draw.settings
    size = at(settings["sizes"], phase)
    order, sides = random.fold(draw.key, phase), at(settings["sides"], phase)
    fresh = settings["fresh_start"][:, None] + fresh
    index = pool.indices(order, size, sides, position, fresh, draw.has_kernels)
    return index + torch.where(size > 0, at(settings["first_index"], phase), 0)[:, None]


def _is_fraction(size: Any) -> bool:
    return isinstance(size, float) and 0 < size < 1


def resolve_fractions(
    key: str, sizes: list[PhaseSize], online: int, task: Task, nested: bool = True
) -> list[int | str]:
    """Sizes with fractions of the ``online`` data turned into numbers of examples.

    Raises:
        SettingError: if they exceed the population or do not increase.
    """
    numbers = [max(round(size * online), 1) if isinstance(size, float) else size for size in sizes]
    counts = [check_size(key, size, task) for size in numbers]
    if nested:
        check_increasing(key, counts, task)
    return counts


def check_increasing(key: str, sizes: list[Any], task: Task) -> None:
    """Raise :class:`SettingError` unless sizes of one kind increase, with ``population`` and ``online`` last."""
    ranks = {ONLINE: (3, 0), POPULATION: (2, 0)}
    for kind in (int, float):
        comparable = [size for size in sizes if isinstance(size, str | kind)]
        order = [ranks[size] if isinstance(size, str) else (1, size) for size in comparable]
        if any(first >= second for first, second in pairwise(order)):
            raise SettingError(key, sizes, "sizes that increase from phase to phase (or nested: false)")
