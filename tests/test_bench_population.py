"""The benchmark of full batches measures what it names."""

import time
from pathlib import Path

import pytest

from svl.bench import population


@pytest.mark.slow
def test_every_way_is_measured_beside_autograd(monkeypatch):
    monkeypatch.setattr(population, "REPLICAS", 2)
    monkeypatch.setattr(population, "EXAMPLES", 16)
    rows = population.compare(2, dim=7, subset=64, compile="never", block_size=2)
    assert [row.name for row in rows] == [
        *("population: autograd", "population: svl, R = 1", "population: svl, R = 2"),
        *(
            "population, depth 3: autograd",
            "population, depth 3: svl, R = 2",
            "population, depth 3: its products alone",
        ),
        *("population, GELU: autograd", "population, GELU: svl, R = 2"),
        *("subset of 64: autograd", "subset of 64: svl, R = 1", "subset of 64: svl, R = 2"),
    ]
    for autograd, *others in (rows[:3], rows[3:6], rows[6:8], rows[8:]):
        assert autograd.ratios == [1, 1]
        for row in others:
            assert row.ratios == pytest.approx([a / b for a, b in zip(autograd.seconds, row.seconds, strict=True)])


def test_the_memory_of_steps_is_what_they_hold_at_most():
    def hold(steps: int) -> None:
        held = bytearray(2**26)
        time.sleep(0.5)  # other work on the machine can keep the observer waiting
        del held

    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("only Linux says what a process holds")
    assert 2**26 * 0.9 < population._memory(hold) < 2**26 * 1.5
