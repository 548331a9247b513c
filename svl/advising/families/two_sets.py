"""Each batch from a small set and from fresh data."""

from __future__ import annotations

from typing import ClassVar

from svl.advising.candidate import Candidate, Extent, Family

_FIXED = {"size": 1, "probability": 0.75}


class TwoSets(Family):
    """Three quarters of the examples from a small set, the others fresh; not for stored data, which end.

    Source: Charton and Kempe 2024; Liu et al. 2026, section 2.
    """

    keyword: ClassVar[str] = "two sets"
    order: ClassVar[int] = 4

    def first(self, extent: Extent) -> list[Candidate]:
        return [] if extent.stored else [_two(size, 0.75, extent) for size in extent.sizes([64, 256])]

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        size, part = candidate.numbers["size"], candidate.numbers["probability"]
        near = ((size * 2, part), (size / 2, part), (size, 1 - (1 - part) * 2), (size, (1 + part) / 2))
        return [_two(round(n), share, extent) for n, share in near if extent.is_small(round(n)) and 0 < share < 1]


def _two(size: int, probability: float, extent: Extent) -> Candidate:
    percent = f"{100 * probability:.3g} %"
    says = f"take {percent} of the examples of each batch from the same {size:,} examples, and the others fresh"
    settings = {"data.size": size, "data.probability": probability}
    numbers = {"size": size, "probability": probability}
    return Candidate(TwoSets.keyword, f"{percent} from {size:,} examples", says, "TwoSets", _FIXED, settings, numbers)
