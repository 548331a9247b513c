"""The families of candidates, one a module: each is found here by itself."""

from __future__ import annotations

import importlib
import pkgutil
from itertools import chain, zip_longest

from svl.advising.candidate import Candidate, Extent, Family


def families() -> list[Family]:
    """Every family, in the order of the race."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted((kind() for kind in Family.__subclasses__()), key=lambda family: family.order)


def first_candidates(extent: Extent) -> list[Candidate]:
    """The candidates of the first round: the first one of each family, then the second one of each, and so on."""
    rows = zip_longest(*(family.first(extent) for family in families()))
    # In a very short fit two shares of its steps can be the same number of steps.
    return list({each.name: each for each in chain.from_iterable(rows) if each is not None}.values())


def neighbours(candidate: Candidate, extent: Extent) -> list[Candidate]:
    """Those of a candidate in its family, each once."""
    family = next(family for family in families() if family.keyword == candidate.family)
    near = {each.name: each for each in family.neighbours(candidate, extent)}
    return [each for name, each in near.items() if name != candidate.name]
