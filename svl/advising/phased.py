"""Candidates of the strategy ``Phases``, of which a fixed set and fresh data are those with a single phase."""

from __future__ import annotations

from collections.abc import Sequence

from svl.advising.candidate import Candidate, Extent
from svl.data.size import ONLINE

FRESH = "fresh"
"""The keyword of the reference."""
STRATEGY = "Phases"
FIXED = {"sizes": [ONLINE], "durations": [], "unit": "steps", "nested": True, "reuse": "epochs"}


def phased(
    family: str,
    name: str,
    says: str,
    sizes: Sequence[int | str],
    durations: Sequence[int],
    **numbers: float,
) -> Candidate:
    """A candidate with these sizes, each for its number of steps; the last one lasts to the end."""
    settings = {"data.sizes": list(sizes), "data.durations": list(durations)}
    return Candidate(family, name, says, STRATEGY, FIXED, settings, numbers)


def fresh(extent: Extent) -> Candidate:
    """The reference: fresh data, or the whole set of stored data."""
    if extent.stored:
        epochs = extent.epochs(extent.stored)
        name, says = "whole set", f"train on all {extent.stored:,} examples, {epochs}"
    else:
        name, says = "fresh data", "train on fresh data"
    return phased(FRESH, name, says, [extent.rest], [])
