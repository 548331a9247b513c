"""One small set, used again and again in reshuffled epochs."""

from __future__ import annotations

from typing import ClassVar

from svl.advising.candidate import Candidate, Extent, Family
from svl.advising.phased import phased


class Subset(Family):
    """A set of 1/64, 1/16, 1/256 or 1/4 of the examples that a fit processes; of stored data 1/2 to 1/16.

    Source: Liu et al. 2026, figures 2 and 18.
    """

    keyword: ClassVar[str] = "subset"
    order: ClassVar[int] = 1

    def first(self, extent: Extent) -> list[Candidate]:
        return [_subset(size, extent) for size in extent.sizes([4, 2, 8, 16] if extent.stored else [64, 16, 256, 4])]

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        size = candidate.numbers["size"]
        return [_subset(other, extent) for other in (round(size * 2), round(size / 2)) if extent.is_small(other)]


def _subset(size: int, extent: Extent) -> Candidate:
    says = f"train on the same {size:,} examples for {extent.epochs(size)}"
    return phased(Subset.keyword, f"{size:,} examples", says, [size], [], size=size)
