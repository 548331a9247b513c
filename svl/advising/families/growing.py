"""Six phases of fixed length, each on a larger set."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from svl.advising.candidate import LEAST, Candidate, Extent, Family
from svl.advising.phased import phased

_SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.1)
_STORED_SIZES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
_SHARE = 0.1


class Growing(Family):
    """The paper's six phases, on 0.1 % to 10 % of the data; each but the last has a tenth of the steps or a fiftieth.

    Stored data end with the whole set.

    Source: Liu et al. 2026, appendix B.1.
    """

    keyword: ClassVar[str] = "growing"
    order: ClassVar[int] = 5

    def first(self, extent: Extent) -> list[Candidate]:
        return [candidate for speed in (5, 1) for candidate in _growing(speed, extent)]

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        speed = candidate.numbers["speed"]
        return [near for other in (speed * 2, speed / 2) if other >= 1 for near in _growing(other, extent)]


def _growing(speed: float, extent: Extent) -> list[Candidate]:
    shares = _STORED_SIZES if extent.stored else _SIZES
    sizes: list[int | str] = [round(share * extent.whole) for share in shares]
    sizes += [extent.stored] if extent.stored else []
    numbers = [size for size in sizes if isinstance(size, int)]
    is_growing = all(first < second for first, second in pairwise(numbers))
    if numbers[0] < LEAST or not is_growing or numbers[-1] > (extent.population or numbers[-1]):
        return []
    steps = extent.steps_of(_SHARE / speed)
    durations = [steps] * (len(sizes) - 1)
    path = f"{numbers[0]:,} to {numbers[-1]:,} examples"
    says = f"train on {len(sizes)} growing sets, {path}, each for {steps:,} steps and the last to the end"
    return [phased(Growing.keyword, f"{path}, {steps:,} steps each", says, sizes, durations, speed=speed)]
