"""Sweeps on this machine: every fit once, none twice, stopped and gone on with, the worse ended early."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from svl.errors import SettingError
from svl.sweeps.expanding import expand
from svl.sweeps.study import objective, open_study, values
from svl.sweeps.sweep_file import read


def written(folder, tiny, **changes):
    """A sweep file over a tiny fit."""
    at = tiny.index("--experiment")
    words = ["svl", *tiny[:at], *tiny[at + 2 :]]
    content = {
        "command": [*words, "${args}"],
        "method": "grid",
        "parameters": {"model.network.width": {"values": [4, 8]}, "replicas.vary.data.size": {"value": [32, "online"]}},
        **changes,
    }
    path = folder / "some.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def start(folder, *words):
    command = [sys.executable, "-m", "svl", "sweep", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **streams)


def runs(folder):
    return sorted(path.parent for path in folder.glob("runs/some/*/summary.json"))


@pytest.mark.slow
def test_every_fit_is_trained_once_in_a_directory_of_its_own(svl, tiny, tmp_path):
    parameters = {"model.network.width": {"values": [4, 8]}, "replicas.vary.data.size": {"value": [32, "online"]}}
    path = written(tmp_path, tiny, parameters=parameters)
    told = svl(tmp_path, "sweep", "run", str(path), "--processes", "2")
    assert told.status == 0, told
    assert "some: 2 fits, each of 2 arms x 2 seeds: 8 training runs" in told.out
    assert "2 fits: 2 done; runs: runs/some" in told.out
    configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in runs(tmp_path)]
    assert {config["model"]["network"]["init_args"]["width"] for config in configs} == {4, 8}
    assert len(configs) == 2
    # The same fits, and two that cannot begin: what is done stays as it is.
    before = {run: (run / "summary.json").stat().st_mtime_ns for run in runs(tmp_path)}
    path = written(tmp_path, tiny, parameters={**parameters, "data.task.degree": {"values": [2, 9]}})
    told = svl(tmp_path, "sweep", "run", str(path), "--processes", "2")
    assert told.status == 1
    assert "4 fits: 2 done, 2 missing" in told.out and "4 fits: 2 done, 2 failed" in told.out
    assert told.out.count("FAILED") == 2
    assert {run: (run / "summary.json").stat().st_mtime_ns for run in runs(tmp_path)} == before
    told = svl(tmp_path, "sweep", "status", str(path))
    assert "data.task.degree: got 9; allowed: 1 to dim = 8" in " ".join(told.out.split())


def test_a_setting_that_cannot_be_used_is_named_before_anything_runs(svl, tiny, tmp_path):
    path = written(tmp_path, tiny, parameters={"model.network.widht": {"values": [4, 8]}})
    told = svl(tmp_path, "sweep", "run", str(path))
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith("svl: error: model.network.widht: got '4'; allowed: ") and told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_config_that_changed_after_the_sweep_was_expanded_is_not_trained_under_its_old_name(svl, tiny, tmp_path):
    (tmp_path / "seeds.yaml").write_text("replicas: {seeds: 1}\n")
    path = written(tmp_path, [*tiny, "--config", "seeds.yaml"])
    with contextlib.chdir(tmp_path):
        file = expand(read(str(path)), "runs").write()
    (tmp_path / "seeds.yaml").write_text("replicas: {seeds: 2}\n")
    told = svl(tmp_path, "sweep", "fit", str(file), "0")
    assert told.status == 2 and "but it has changed" in told.err
    assert not list(tmp_path.glob("runs/some/*/config.yaml"))


def test_a_search_whose_fit_fails_says_so(svl, tiny, tmp_path):
    metric = {"name": "mean/val/accuracy", "goal": "maximize"}
    path = written(
        tmp_path, tiny, method="bayes", run_cap=1, metric=metric, parameters={"data.task.degree": {"value": 9}}
    )
    with contextlib.chdir(tmp_path):
        file = expand(read(str(path)), "runs").write()
    assert svl(tmp_path, "sweep", "fit", str(file), "0").status == 2
    told = svl(tmp_path, "sweep", "status", str(path))
    assert "1 fit: 1 failed" in told.out and "1 to dim = 8" in " ".join(told.out.split())


@pytest.mark.slow
def test_a_stopped_sweep_saves_and_the_same_command_goes_on(svl, tiny, tmp_path):
    steps = ["--trainer.max_steps", "100000", "--checkpoint.every_n_steps", "5"]
    path = written(tmp_path, [*tiny, *steps])
    sweep = start(tmp_path, "run", path, "--processes", "2")
    while len(list(tmp_path.glob("runs/some/*/checkpoints/last.ckpt"))) < 2:
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.1)
    told = svl(tmp_path, "sweep", "status", str(path))
    assert "2 fits: 2 running" in told.out
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=60)
    assert (sweep.returncode, err) == (128 + signal.SIGINT, "")
    assert "2 fits: 2 missing" in out and "give the same command to resume" in out and "stopped" in out
    for log in tmp_path.glob("runs/some/sweep/logs/*.log"):
        assert "stopped at step" in log.read_text()
    told = svl(tmp_path, "sweep", "status", str(path))
    assert told.out.count("has begun") == 2


@pytest.mark.slow
def test_a_search_ends_what_is_worse_and_learns_from_the_rest(svl, tiny, tmp_path):
    """In this process, one fit after the other, with the study that processes share."""
    rates = {"values": [0.0, 0.5]}
    path = written(
        tmp_path,
        tiny,
        method="bayes",
        run_cap=6,
        metric={"name": "mean/val/accuracy", "goal": "maximize"},
        early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2},
        parameters={"model.optimizer.lr": rates},
    )
    told = svl(tmp_path, "sweep", "slurm", str(path), "--dry-run")
    assert told.status == 0 and "would submit" in told.out
    assert svl(tmp_path, "sweep", "run", str(path), "--count", "6", "--dry-run").status == 0
    manifest = expand(read(str(path)), str(tmp_path / "runs"))
    file = manifest.write()
    for row in range(6):
        assert svl(tmp_path, "sweep", "fit", str(file), str(row)).status == 0
        # Again: what is done is not trained again, nor told twice.
        assert svl(tmp_path, "sweep", "fit", str(file), str(row)).status == 0
    trials = open_study(manifest).trials
    assert len(trials) == 6
    states = {trial.state for trial in trials}
    assert states <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    by_run = {trial.user_attrs["run"]: trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE}
    for run, trial in by_run.items():
        history = pd.read_parquet(Path(run) / "history.parquet")
        last = history[history["step"] == history["step"].max()]
        assert trial.value == pytest.approx(last["val/accuracy"].mean())
        assert set(trial.intermediate_values) <= {1, 2, 3, 4}


@pytest.mark.slow
def test_the_metric_is_what_wandb_is_given(svl, tiny, tmp_path):
    fit = svl(tmp_path, *tiny, "--replicas.vary.data.size", "[32, 64]", "--replicas.seeds", "3")
    found = values(fit.path)
    history = pd.read_parquet(fit.path / "history.parquet")
    last = history[history["step"] == history["step"].max()]
    assert found["mean/val/loss"] == pytest.approx(last["val/loss"].mean())
    for size, rows in last.groupby("data.size"):
        assert found[f"val/loss/size={size}"] == pytest.approx(rows["val/loss"].mean())
        reached = history[history["data.size"] == size].groupby("seed")["val/accuracy"].max() >= 0.9
        assert found[f"success/size={size}"] == pytest.approx(reached.mean())
    with pytest.raises(SettingError, match=r"metric.name: got 'mean/val/los'; allowed: .*did you mean 'mean/val/loss'"):
        objective(found, "mean/val/los")
    assert json.loads((fit.path / "summary.json").read_text())["finished"] is True
