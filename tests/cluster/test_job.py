"""What a process knows of the SLURM job that it is; arrays by their numbers. These need no SLURM."""

import itertools
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svl import cluster


def numbers(text):
    """As SLURM reads them."""
    ends = [part.split("-") for part in text.split(",")]
    return [number for one in ends for number in range(int(one[0]), int(one[-1]) + 1)]


@given(st.sets(st.integers(0, 200), min_size=1))
def test_ranges_are_short_and_name_every_number_once(wanted):
    text = cluster.ranges(sorted(wanted, reverse=True))
    assert numbers(text) == sorted(wanted)
    # No two neighbours that could be one.
    runs = [list(map(int, part.split("-"))) for part in text.split(",")]
    assert all(after[0] > before[-1] + 1 for before, after in itertools.pairwise(runs))


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "17"}, "17"),
        ({"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1"}, "17_1"),
    ],
)
def test_a_job_is_known_by_its_id_and_a_task_by_its_arrays(monkeypatch, environment, name):
    for key in [key for key in os.environ if key.startswith("SLURM_")]:
        monkeypatch.delenv(key)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert cluster.job() == name


def test_nothing_is_requeued_outside_of_a_job_or_after_ctrl_c(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    assert cluster.requeue(signal.SIGTERM) is None
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert cluster.requeue(signal.SIGINT) is None


def test_without_jobs_or_slurm_nothing_is_queued(monkeypatch, tmp_path):
    assert cluster.queued([]) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster.queued(["1"]) == {}
