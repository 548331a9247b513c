"""The benchmark of full batches measures what it names."""

import pytest

from svl.bench import population


def test_every_way_is_measured_beside_autograd(monkeypatch):
    monkeypatch.setattr(population, "REPLICAS", 2)
    monkeypatch.setattr(population, "EXAMPLES", 256)
    rows = population.compare(2, dim=7, subset=64, compile="never", block_size=2)
    assert [row.name for row in rows] == [
        *("population: autograd", "population: svl, R = 1", "population: svl, R = 2"),
        *("subset of 64: autograd", "subset of 64: svl, R = 1", "subset of 64: svl, R = 2"),
    ]
    for autograd, *others in (rows[:3], rows[3:]):
        assert autograd.ratios == [1, 1]
        for row in others:
            assert row.ratios == pytest.approx([a / b for a, b in zip(autograd.seconds, row.seconds, strict=True)])


def test_the_memory_of_a_step_is_what_it_holds_at_most():
    held = population._memory(lambda steps: bytearray(2**26) and None)
    if held is None:
        pytest.skip("the system does not say")
    assert 2**26 * 0.9 < held < 2**26 * 1.5
