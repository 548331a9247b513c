"""A fit that is stopped goes on to the same history, bit for bit; checkpoints are written when they are due."""

import errno
import json
import signal
import tempfile
from pathlib import Path

import pytest
import torch


@pytest.mark.slow
def test_signals_stop_at_the_end_of_a_batch_and_say_how_to_go_on(killed, tiny, tmp_path):
    words = [*tiny, "--trainer.max_steps", "600", "--trainer.log_every_n_steps", "20", "--replicas.seeds", "1"]
    words += ["--checkpoint.every_n_steps", "20"]
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    statuses, run, undisturbed = killed(tmp_path / "stopped", numbers, words)
    assert statuses[-2:] == [0, 0]
    steps = []
    for attempt, (number, status) in enumerate(zip(numbers, statuses, strict=False)):
        said = (tmp_path / "stopped" / f"log{attempt}").read_text().splitlines()
        if status == 0:
            # On a fast machine the last signals may come when all is done.
            assert steps
            continue
        assert status == 128 + number
        steps.append(int(said[0].split()[3].replace(",", "")))
        assert said == [
            f"stopped at step {steps[-1]:,} of 600 by {number.name}; to resume from step {steps[-1]:,}, "
            f"give the same command with --ckpt_path runs/tiny/{run.name}/checkpoints/last.ckpt",
            f"runs/tiny/{run.name}",
        ]
    assert steps == sorted(set(steps)) and steps[0] % 20 == 0
    assert (run / "history.parquet").read_bytes() == (undisturbed / "history.parquet").read_bytes()


def test_wall_seconds_add_up_over_resumptions(svl, tiny, tmp_path):
    words = [*tiny, "--trainer.max_steps", "3000"]
    path = svl(tmp_path, *words, "--trainer.max_time", "00:00:00:01").path
    seconds = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Checkpoint"]["wall_seconds"]
    ]
    for limit in ("00:00:00:02", "00:00:00:03"):
        svl(tmp_path, *words, "--trainer.max_time", limit, "--ckpt_path", "last")
        seconds.append(
            torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Checkpoint"]["wall_seconds"]
        )
        assert json.loads((path / "summary.json").read_text())["wall_seconds"] == pytest.approx(seconds[-1], abs=1e-3)
    assert 0.5 < seconds[0] < seconds[1] < seconds[2]


def test_checkpoints_are_written_at_their_interval(svl, tiny, tmp_path, monkeypatch):
    from svl.callbacks import Checkpoint

    saved, save = [], Checkpoint._save

    def remember(self, trainer):
        saved.append(trainer.global_step)
        save(self, trainer)

    monkeypatch.setattr(Checkpoint, "_save", remember)
    svl(tmp_path, *tiny, "--checkpoint.every_n_steps", "7")
    # The first ends of a Lightning batch (of 5 steps here) at or after 7 and 14 steps; the beginning; the end.
    assert saved == [0, 10, 15, 20]
    saved.clear()
    svl(tmp_path, *tiny)
    assert saved == [0, 20]
    saved.clear()
    svl(tmp_path, *tiny, "--checkpoint.every_n_seconds", "1e-9")
    assert saved == [0, 5, 10, 15, 20]


def test_a_checkpoint_is_written_in_its_own_folder_alone(tmp_path, monkeypatch):
    from svl.callbacks.checkpoint import AtomicCheckpointIO

    # The system's folder for temporary files cannot be written to.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 3, "weights": torch.arange(4.0)}, path)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    read = AtomicCheckpointIO().load_checkpoint(path)
    assert read["step"] == 3 and read["weights"].tolist() == [0, 1, 2, 3]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    from svl.callbacks.checkpoint import AtomicCheckpointIO

    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 3}, path)

    def half(file, content):
        with file.open("wb") as opened:
            opened.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"step": 4}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(path) == {"step": 3}
