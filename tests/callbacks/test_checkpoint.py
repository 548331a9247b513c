"""A fit that is stopped or killed anywhere goes on to the same history, bit for bit."""

import json
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch

# One process that has imported everything makes the fits that are killed: importing takes longer than they do.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import svl.laboratory
from svl.cli import main

numbers, words = json.loads(sys.argv[1]), json.loads(sys.argv[2])
generator, statuses = random.Random(0), []

def checkpoint():
    found = list(Path("runs").glob("*/*/checkpoints/last.ckpt"))
    return found[0].stat().st_mtime_ns if found else 0

def fit(resume, log):
    child = os.fork()
    if child == 0:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = main(words + (["--ckpt_path", "last"] if resume else []))
        sys.stdout.flush()
        os._exit(status)
    return child

for attempt, number in enumerate(numbers):
    before = checkpoint()
    child = fit(attempt > 0, f"log{attempt}")
    deadline = time.monotonic() + 60
    while checkpoint() == before and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(generator.uniform(0, 0.25))
    os.kill(child, number)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
last = fit(True, "log")
statuses.append(os.waitstatus_to_exitcode(os.waitpid(last, 0)[1]))
print(json.dumps(statuses))
"""

HARD = [
    *(
        "--data",
        "AutomaticPhases",
        "--data.phases",
        "3",
        "--data.first",
        "24",
        "--data.last",
        "96",
        "--data.max_epochs",
        "7",
    ),
    *("--data.accuracy", "0.6", "--model.optimizer", "AdamW"),
    *("--replicas.vary.model.optimizer.lr", "[0.01, 1e30]", "--model.loss", "squared"),
    *("--trainer.max_steps", "500", "--trainer.log_every_n_steps", "10", "--checkpoint.every_n_steps", "15"),
]


def kill(folder, numbers, words):
    """Exit statuses of a fit that gets one signal after the other, and its run directory."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLER, json.dumps(numbers), json.dumps(words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs" / "tiny").iterdir()
    return json.loads(done.stdout.splitlines()[-1]), run


@pytest.mark.slow
def test_a_fit_killed_at_random_moments_has_the_history_of_an_undisturbed_one(svl, tiny, tmp_path):
    words = [*tiny, *HARD]
    statuses, run = kill(tmp_path / "killed", [signal.SIGKILL] * 3, words)
    assert statuses[-1] == 0
    assert statuses.count(-9) >= 2
    undisturbed = svl(tmp_path, *words)
    assert undisturbed.status == 0, undisturbed.err
    for file in ("history.parquet", "history.csv"):
        assert (run / file).read_bytes() == (undisturbed.path / file).read_bytes()
    history = pd.read_parquet(run / "history.parquet")
    assert history["diverged"].any() and not history["diverged"].all()
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]
    summaries = [json.loads((path / "summary.json").read_text()) for path in (run, undisturbed.path)]
    assert summaries[0]["arms"] == summaries[1]["arms"]


@pytest.mark.slow
def test_signals_stop_at_the_end_of_a_batch_and_say_how_to_go_on(svl, tiny, tmp_path):
    words = [*tiny, "--trainer.max_steps", "600", "--trainer.log_every_n_steps", "20", "--replicas.seeds", "1"]
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    statuses, run = kill(tmp_path / "stopped", numbers, words)
    assert statuses[-1] == 0
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
            f"stopped at step {steps[-1]:,} of 600 by {number.name}; to go on from step {steps[-1]:,}, "
            f"give the same command with --ckpt_path runs/tiny/{run.name}/checkpoints/last.ckpt",
            f"runs/tiny/{run.name}",
        ]
    assert steps == sorted(set(steps)) and steps[0] % 20 == 0
    undisturbed = svl(tmp_path, *words)
    assert (run / "history.parquet").read_bytes() == (undisturbed.path / "history.parquet").read_bytes()


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
    from callbacks import Checkpoint

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
