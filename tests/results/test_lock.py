"""The lock of a folder: one holder at a time, and none once the holder's process has ended."""

import subprocess
import sys

import pytest

from svl.results.lock import Lock, is_held


def test_one_holder_at_a_time(tmp_path):
    first, second = Lock(tmp_path), Lock(tmp_path)
    assert not is_held(tmp_path)
    first.acquire()
    assert is_held(tmp_path)
    with pytest.raises(BlockingIOError):
        second.acquire()
    # Neither the attempt nor its end lets others in.
    second.release()
    assert is_held(tmp_path)
    first.release()
    assert not is_held(tmp_path)
    second.acquire()
    second.release()


def test_a_process_that_ends_gives_up_its_lock(tmp_path):
    program = (
        "import sys; from pathlib import Path; from svl.results.lock import Lock, is_held;"
        "folder = Path(sys.argv[1]); lock = Lock(folder); lock.acquire(); print(is_held(folder))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
    assert (tmp_path / ".lock").exists() and not is_held(tmp_path)


def test_a_folder_that_is_not_there_is_not_held(tmp_path):
    assert not is_held(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "absent").acquire()
