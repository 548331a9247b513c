"""The run directory: created, found, resumed, locked, discarded."""

import os
import time

import pytest
import yaml

from svl.errors import SettingError
from svl.results.run_directory import CHECKPOINT, CONFIG, RunDirectory


def settings(**changes):
    config = {
        "data": {"class_path": "Subset", "init_args": {"size": 4, "task": {"class_path": "P", "init_args": {"dim": 3}}}}
    }
    config |= {
        "trainer": {"max_steps": 5, "max_time": None},
        "runs": "runs",
        "ckpt_path": None,
        "wandb": {"mode": "auto"},
    }
    return yaml.safe_dump(config | changes)


def checkpointed(folder, config=None):
    run = RunDirectory.create(folder, config or settings())
    (run.path / CHECKPOINT).parent.mkdir()
    (run.path / CHECKPOINT).write_bytes(b"")
    run.close()
    return run


def test_no_two_runs_share_a_directory(tmp_path):
    runs = [RunDirectory.create(tmp_path / "runs" / "e", settings()) for _ in range(5)]
    assert len({run.path for run in runs}) == 5
    for run in runs:
        run.close()
        assert (run.path / CONFIG).read_text() == settings()
        assert run.id == run.path.name


def test_discarding_removes_what_was_made_and_nothing_else(tmp_path):
    run = RunDirectory.create(tmp_path / "runs" / "e", settings())
    run.discard()
    assert list(tmp_path.iterdir()) == []
    kept = checkpointed(tmp_path / "runs" / "e")
    kept.discard()
    other = RunDirectory.create(tmp_path / "runs" / "e", settings())
    other.discard()
    assert [path.name for path in (tmp_path / "runs" / "e").iterdir()] == [kept.id]


@pytest.mark.parametrize("folder", ["file/e", "/proc/nowhere/e"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    from pathlib import Path

    with pytest.raises(SettingError, match="runs: got"):
        RunDirectory.create(Path(folder), settings())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_last_is_the_run_that_began_last_whatever_was_written_since(tmp_path):
    runs = [checkpointed(tmp_path) for _ in range(4)]
    os.utime(runs[0].path / CHECKPOINT)
    assert RunDirectory.find(tmp_path, "last").path == runs[-1].path
    # A directory without a checkpoint has nothing to go on from.
    RunDirectory.create(tmp_path, settings()).close()
    assert RunDirectory.find(tmp_path, "last").path == runs[-1].path
    # Copied long after, the name still says when it began.
    old = tmp_path / f"20000101-000000-{runs[0].id[-4:]}"
    runs[-1].path.rename(old)
    (old / CONFIG).write_text(settings())
    os.utime(old / CONFIG, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert RunDirectory.find(tmp_path, "last").path == runs[-2].path


@pytest.mark.parametrize("ckpt_path", ["last", "no.ckpt", "best", "."])
def test_a_checkpoint_that_is_not_there_is_named(tmp_path, ckpt_path):
    with pytest.raises(SettingError, match="ckpt_path"):
        RunDirectory.find(tmp_path, ckpt_path)


def test_a_checkpoint_outside_of_a_run_directory_is_refused(tmp_path):
    (tmp_path / "some.ckpt").write_bytes(b"")
    with pytest.raises(SettingError, match="run directory"):
        RunDirectory.find(tmp_path, str(tmp_path / "some.ckpt"))


def test_one_fit_at_a_time_writes_a_directory(tmp_path):
    path = str(checkpointed(tmp_path).path / CHECKPOINT)
    first = RunDirectory.resume(tmp_path, path, settings())
    with pytest.raises(SettingError, match="no other fit is writing to"):
        RunDirectory.resume(tmp_path, path, settings())
    # Reading is free.
    assert RunDirectory.measure(tmp_path, path, settings()).path == first.path
    first.close()
    RunDirectory.resume(tmp_path, path, settings()).close()


def test_a_resumed_run_keeps_its_settings(tmp_path):
    checkpointed(tmp_path)
    RunDirectory.resume(tmp_path, "last", settings(runs="x", wandb={"mode": "disabled"})).close()
    RunDirectory.resume(tmp_path, "last", settings(trainer={"max_steps": 6, "max_time": "00:01:00:00"})).close()
    longer = settings(trainer={"max_steps": 5, "max_time": None, "log_every_n_steps": 2})
    with pytest.raises(SettingError) as error:
        RunDirectory.resume(tmp_path, "last", longer)
    assert (error.value.key, error.value.given) == ("trainer.log_every_n_steps", 2)
    # How long a fit would have been says nothing about its measurement.
    RunDirectory.measure(tmp_path, "last", longer)


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    run = checkpointed(tmp_path)
    (run.path / CONFIG).write_text("{")
    with pytest.raises(SettingError, match="ckpt_path"):
        RunDirectory.resume(tmp_path, "last", settings())
