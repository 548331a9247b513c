"""Phases that each fit ends by itself, once it has learned its set."""

from __future__ import annotations

from typing import ClassVar

from svl.advising.candidate import LEAST, Candidate, Extent, Family

_FIXED = {"phases": 6, "accuracy": 0.75, "max_epochs": 50, "reuse": "epochs"}


class Automatic(Family):
    """Six nested sets of geometric sizes; a fit advances at 75 % train accuracy or after 50 epochs.

    From 1/320 to 1/50 of the data, as in the paper, or on to 1/4 of them; stored data end with the whole set.

    Source: Liu et al. 2026, figure 19.
    """

    keyword: ClassVar[str] = "automatic"
    order: ClassVar[int] = 3

    def first(self, extent: Extent) -> list[Candidate]:
        if not extent.has_accuracy:
            return []
        ends = ((32, 1), (8, 1)) if extent.stored else ((320, 50), (320, 4))
        return [candidate for first, last in ends for candidate in _automatic(first, last, extent)]

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        first, last = candidate.numbers["first"], candidate.numbers["last"]
        near = [(first / 4, last), (first * 4, last)]
        near += [] if extent.stored else [(first, last / 2), (first, last * 2)]
        return [other for start, end in near if start >= 2 * end for other in _automatic(start, end, extent)]


def _automatic(first: float, last: float, extent: Extent) -> list[Candidate]:
    start, end = round(extent.whole / first), round(extent.whole / last)
    if extent.stored:
        end = extent.stored
    if start < LEAST or end > (extent.population or end):
        return []
    path = f"{start:,} to {end:,} examples"
    says = f"train on six growing sets, {path}, and move to the next at 75 % train accuracy or after 50 epochs"
    settings = {"data.first": start, "data.last": end}
    numbers = {"first": first, "last": last}
    name = f"automatic, {path}"
    return [Candidate(Automatic.keyword, name, says, "AutomaticPhases", _FIXED, settings, numbers)]
