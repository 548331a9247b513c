"""A small set first, then all data."""

from __future__ import annotations

from typing import ClassVar

from svl.advising.candidate import Candidate, Extent, Family
from svl.advising.phased import phased


class TwoPhases(Family):
    """A small set for a share of the steps, then fresh data or the whole set.

    Source: Liu et al. 2026, figures 1 and 2c: 1 % of the data for the first steps, then fresh data.
    """

    keyword: ClassVar[str] = "two phases"
    order: ClassVar[int] = 2

    def first(self, extent: Extent) -> list[Candidate]:
        divisors = [8, 32] if extent.stored else [100, 400]
        return [_two(size, share, extent) for share in (0.05, 0.2) for size in extent.sizes(divisors)]

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        size, share = candidate.numbers["size"], candidate.numbers["share"]
        near = ((size, share * 2), (size, share / 2), (size * 2, share), (size / 2, share))
        return [_two(round(n), part, extent) for n, part in near if extent.is_small(round(n)) and part <= 0.5]


def _two(size: int, share: float, extent: Extent) -> Candidate:
    steps = extent.steps_of(share)
    then = "all of them" if extent.stored else "fresh data"
    says = f"train on the same {size:,} examples for {steps:,} steps, then on {then}"
    name = f"{size:,} for {steps:,} steps, then {'all' if extent.stored else 'fresh'}"
    return phased(TwoPhases.keyword, name, says, [size, extent.rest], [steps], size=size, share=share)
