"""What the race can choose from: every candidate is one that a fit accepts, and repeats a part of the data."""

import importlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svl.advising import families
from svl.advising.candidate import LEAST, Extent
from svl.advising.families import first_candidates, neighbours
from svl.advising.phased import fresh
from svl.data import AutomaticPhases, Phases, TwoSets
from svl.tasks import Parity

KINDS = {"Phases": Phases, "AutomaticPhases": AutomaticPhases, "TwoSets": TwoSets}
EXTENTS = st.builds(
    Extent,
    steps=st.integers(1, 20_000),
    batch=st.integers(1, 512),
    stored=st.none() | st.integers(2, 10**6),
    population=st.none(),
    has_accuracy=st.booleans(),
)


def sizes(candidate):
    own = candidate.settings
    found = own.get("data.sizes") or [own[key] for key in ("data.first", "data.last", "data.size") if key in own]
    return [size for size in found if size != "online"]


@given(EXTENTS)
def test_every_candidate_is_one_that_its_strategy_accepts(extent):
    task = Parity(dim=40, degree=3)
    for candidate in (fresh(extent), *first_candidates(extent)):
        arguments = dict(candidate.fixed) | {
            key.removeprefix("data."): value for key, value in candidate.settings.items()
        }
        KINDS[candidate.strategy](task, **arguments)


@given(EXTENTS)
def test_a_candidate_repeats_a_part_of_the_data_and_stays_within_what_is_stored(extent):
    for candidate in first_candidates(extent):
        assert LEAST <= min(sizes(candidate)) < extent.whole
        assert max(sizes(candidate)) <= (extent.stored or extent.drawn)
        if extent.stored:
            assert "online" not in candidate.settings.get("data.sizes", []) and candidate.strategy != "TwoSets"


@given(EXTENTS)
def test_names_tell_candidates_apart_also_their_neighbours(extent):
    first = [fresh(extent), *first_candidates(extent)]
    near = [other for candidate in first[1:] for other in neighbours(candidate, extent)]
    assert len({candidate.name for candidate in first}) == len(first)
    settings = {}
    for candidate in (*first, *near):
        assert settings.setdefault(candidate.name, candidate.settings) == candidate.settings


@given(EXTENTS)
def test_a_neighbour_differs_from_its_candidate_and_has_its_strategy(extent):
    for candidate in first_candidates(extent):
        for near in neighbours(candidate, extent):
            assert near.settings != candidate.settings
            assert (near.strategy, near.family) == (candidate.strategy, candidate.family)


def test_the_sizes_of_the_paper_are_among_them():
    # Appendix B.1 and figure 19 of Liu et al. 2026, for an online run of 1,000,000 examples.
    by_family = {}
    for candidate in first_candidates(Extent(10_000, 100)):
        by_family.setdefault(candidate.family, []).append(candidate.settings)
    growing = [settings["data.sizes"] for settings in by_family["growing"]]
    assert [1000, 2000, 5000, 10_000, 20_000, 100_000] in growing
    assert {"data.first": 3125, "data.last": 20_000} in by_family["automatic"]


def test_a_task_without_accuracy_has_no_automatic_phases():
    with_accuracy, without = (
        {candidate.family for candidate in first_candidates(Extent(1000, 64, has_accuracy=has))}
        for has in (True, False)
    )
    assert with_accuracy - without == {"automatic"}


def test_no_set_exceeds_an_enumerable_population():
    for candidate in first_candidates(Extent(3000, 128, population=1024)):
        assert max(sizes(candidate)) <= 1024


FAMILY = """
from typing import ClassVar
from svl.advising.candidate import Family
from svl.advising.phased import phased

class Half(Family):
    keyword: ClassVar[str] = "half"
    order: ClassVar[int] = 9

    def first(self, extent):
        size = extent.whole // 2
        return [phased("half", "half of the data", "train on half of the data", [size], [], size=size)]
"""


@pytest.fixture
def new_family(tmp_path, monkeypatch):
    (tmp_path / "half_of_the_data.py").write_text(FAMILY, encoding="utf-8")
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    yield
    name = f"{families.__name__}.half_of_the_data"
    sys.modules.pop(name, None)
    vars(families).pop("half_of_the_data", None)
    importlib.invalidate_caches()


def test_a_new_family_is_one_new_module(new_family):
    names = [candidate.name for candidate in first_candidates(Extent(1000, 64))]
    assert "half of the data" in names
