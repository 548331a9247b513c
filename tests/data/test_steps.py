"""Which steps are measured, and the ranges of steps that the training dataloader yields."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from svl.data import Online
from svl.data.steps import MeasuredSteps
from svl.errors import SettingError
from svl.tasks import Parity

GRIDS = st.one_of(st.none(), st.just("logarithmic"), st.lists(st.integers(0, 300), max_size=8))


@given(st.integers(1, 200), st.integers(1, 250), GRIDS)
def test_measured_are_the_regular_steps_the_last_and_those_asked_for(total, every, at):
    every = min(every, total)
    at = [step for step in at if step <= total] if isinstance(at, list) else at
    asked = [2**power for power in range(20)] if at == "logarithmic" else at or []
    expected = sorted({*range(0, total, every), total, *(step for step in asked if step <= total)})
    measured = MeasuredSteps(total, every, at)
    assert [step for step in range(total + 5) if step in measured] == expected
    assert len(measured) == len(expected)
    assert [measured.place(step) for step in expected] == list(range(len(expected)))


@given(st.integers(1, 200), st.integers(1, 40), GRIDS, st.integers(1, 40), st.data())
def test_ranges_cover_every_step_once_and_end_at_every_measured_one(total, every, at, chunk, data):
    module = Online(Parity(8, 2), 8)
    at = [step for step in at if step <= total] if isinstance(at, list) else at
    measured = MeasuredSteps(total, min(every, total), at)
    # A module's chunk divides the regular interval.
    chunk = max(n for n in range(1, measured.every + 1) if measured.every % n == 0 and n <= chunk)
    module.schedule(total, chunk, measured)
    ranges = [batch.tolist() for batch in module.train_dataloader()]
    assert len(ranges) == len(module.train_dataloader())
    assert [step for start, count in ranges for step in range(start, start + count)] == list(range(total))
    assert max(count for _, count in ranges) <= chunk
    ends = {start + count for start, count in ranges}
    assert ends >= {step for step in range(1, total + 1) if step in measured}
    assert ends >= set(range(chunk, total, chunk))

    # A fit that is resumed at the end of a range goes on with the same ones.
    class Trainer:
        global_step = data.draw(st.sampled_from([0, *sorted(ends)]))

    module.trainer = Trainer()
    assert [batch.tolist() for batch in module.train_dataloader()] == [r for r in ranges if r[0] >= Trainer.global_step]


@pytest.mark.parametrize("at", [[-1], [11], "linear"])
def test_what_is_not_a_step_is_refused(at):
    make = MeasuredSteps.__init__
    with pytest.raises(SettingError, match=r"^measure_at: got"):
        getattr(make, "__wrapped__", make)(MeasuredSteps.__new__(MeasuredSteps), 10, 5, at)
