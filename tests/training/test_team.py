"""Fits of two processes (gloo, on the CPU) come to the histories of one."""

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from svl.training.team import Team

ON_TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
PHASES = [
    *("--data", "AutomaticPhases", "--data.phases", "3", "--data.first", "24", "--data.last", "96"),
    *("--data.max_epochs", "9", "--data.accuracy", "0.6", "--model.optimizer", "AdamW", "--model.block_size", "2"),
    *("--replicas.seeds", "2", "--replicas.vary.model.optimizer.lr", "[0.01, 1e30]", "--model.loss", "squared"),
    *("--trainer.callbacks", "[NormRatio,PhaseLog,GradientSimilarity]", "--trainer.max_steps", "400"),
    *("--trainer.log_every_n_steps", "10", "--checkpoint.every_n_steps", "15"),
    # Each replica's own, also where another process has it.
    *("--model.metrics", "{auroc: torchmetrics.classification.BinaryAUROC}"),
]


def start(folder, *words):
    command = [sys.executable, "-m", "svl", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **streams)


@pytest.mark.slow
def test_replicas_on_two_processes_stopped_and_gone_on_with_on_one_have_its_history(svl, tiny, tmp_path):
    words = [*tiny, *PHASES, *ON_TWO[:2], "--run_id", "two", "--ckpt_path", "auto"]
    fit = start(tmp_path, *words, *ON_TWO)
    run = tmp_path / "runs" / "tiny" / "two"
    while len(list(run.glob("history.parts/*.parquet"))) < 2:
        assert fit.poll() is None, fit.communicate()
        time.sleep(0.01)
    fit.send_signal(signal.SIGTERM)
    out, err = fit.communicate(timeout=60)
    assert fit.returncode == 128 + signal.SIGTERM, (out, err)
    # The second process says nothing and leaves nothing.
    assert out.count("stopped at step") == 1 and out.splitlines()[-1] == "runs/tiny/two"
    assert 0 < torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] < 400
    assert [path.name for path in run.parent.iterdir()] == ["two"]
    assert svl(tmp_path, *words).status == 0
    one = svl(tmp_path, *tiny, *PHASES, *ON_TWO[:2])
    for name in ("history.csv", "phases.csv"):
        assert (run / name).read_bytes() == (one.path / name).read_bytes()
    history = pd.read_csv(run / "history.csv")
    assert history["diverged"].any() and not history["diverged"].all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        ["--data", "Subset"],
        ["--data", "FullBatch", "--data.micro_batch_size", "24"],
        ["--data", "Subset", "--model.optimizer", "SAM", "--model.optimizer.rho", "0.2"],
    ],
)
def test_one_network_on_two_processes_learns_what_it_learns_on_one(svl, tiny, tmp_path, data):
    """Batches are divided; a full batch of 64 in parts of 24 into unequal ones."""
    batch = [word for name in ("--data.batch_size",) for word in (name, tiny[tiny.index(name) + 1])]
    words = [word for word in tiny if word not in (*batch, "--data", "Subset")]
    words = ["fit", *data, *(batch if data[1] == "Subset" else []), *words[1:], "--replicas.seeds", "1"]
    words += ["--trainer.max_steps", "100", "--model.optimizer.lr", "0.5"]
    two = start(tmp_path, *words, *ON_TWO)
    one = svl(tmp_path, *words, "--experiment", "one")
    out, err = two.communicate(timeout=120)
    assert two.returncode == 0, err
    histories = [pd.read_parquet(path / "history.parquet") for path in (one.path, tmp_path / out.splitlines()[-1])]
    assert histories[0]["arm"].equals(histories[1]["arm"])
    for name in histories[0].columns.drop("arm"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert histories[0]["train/loss"].iloc[-1] < 0.5 * histories[0]["train/loss"].iloc[1]


def test_parts_are_disjoint_whole_and_differ_by_one_at_most():
    for size in range(1, 6):
        for count in range(20):
            rows = [list(range(count))[Team(rank, size).rows(count)] for rank in range(size)]
            assert [*itertools.chain(*rows)] == list(range(count))
            assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_alone_nothing_is_exchanged_or_added_up():
    tensor = torch.arange(3.0)
    Team().exchange([tensor])
    Team().add_up({"a": tensor})
    assert tensor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("devices", ["0", "[]", "[0, 0]", "[-1, 0]", "1.5"])
def test_devices_that_are_none_are_refused(svl, tiny, tmp_path, devices):
    told = svl(tmp_path, *tiny, "--trainer.devices", devices)
    assert told.status == 2 and told.err.startswith("svl: error: trainer.devices: got ")


def test_processes_that_something_else_has_started_have_to_know_the_run(svl, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    told = svl(tmp_path, *tiny, *ON_TWO)
    assert told.status == 2 and told.err.startswith("svl: error: run_id: got null; allowed: a name")
    assert not (tmp_path / "runs").exists()
