"""Array jobs on a real SLURM: signalled, requeued, failed, submitted again; the histories are those of quiet runs."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from svl import cluster as slurm

SCRIPTS = Path(__file__).parents[2] / "slurm"
STEPS = 1000


@pytest.fixture
def words(tiny):
    """Of a fit of some seconds that measures and saves often."""
    own = ["--trainer.max_steps", str(STEPS), "--trainer.log_every_n_steps", "50", "--checkpoint.every_n_steps", "50"]
    return [word for word in (*tiny, *own, "--wandb.mode", "offline") if word not in ("--experiment", "tiny")]


@pytest.fixture
def sweep(words, tmp_path):
    """A sweep of two fits, of which the second cannot begin: its parity is of more bits than there are."""
    parameters = {"data.task.degree": {"values": [2, 9]}, "replicas.seeds": {"value": 3}}
    path = tmp_path / "pair.yaml"
    path.write_text(yaml.safe_dump({"command": ["svl", *words, "${args}"], "method": "grid", "parameters": parameters}))
    return path


@pytest.mark.slow
def test_a_signalled_task_is_requeued_and_ends_with_the_history_of_a_quiet_run(svl, cluster, words, sweep, tmp_path):
    options = [f"--chdir={tmp_path}", f"--output={tmp_path}/quiet.out", str(SCRIPTS / "fit.sbatch")]
    quiet = cluster.ask("sbatch", "--parsable", *options, *words[1:], "--replicas.seeds", "3", "--experiment", "quiet")
    told = svl(tmp_path, "sweep", "slurm", str(sweep))
    assert told.status == 0, told
    assert "2 fits, each of 1 arm x 3 seeds: 6 training runs" in told.out
    job = re.search(r"submitted job (\d+)", told.out)[1]

    cluster.until(lambda: any(tmp_path.glob("runs/pair/*/checkpoints/last.ckpt")))
    run = next(tmp_path.glob("runs/pair/*/checkpoints/last.ckpt")).parent.parent
    told = svl(tmp_path, "sweep", "status", str(sweep))
    assert re.search(rf"running +{run.name}", told.out)
    cluster.until(lambda: len(list((run / "history.parts").glob("*"))) > 1)
    cluster.ask("scancel", "--signal=USR1", f"{job}_0")
    cluster.until(lambda: "PENDING" in cluster.states(job))
    before = pd.read_parquet(sorted((run / "history.parts").glob("*.parquet"))[-1])
    assert before["step"].max() < STEPS
    assert re.search(rf"queued +{run.name}", svl(tmp_path, "sweep", "status", str(sweep)).out)
    cluster.release(f"{job}_0")
    cluster.until(lambda: (run / "summary.json").exists())
    cluster.until(lambda: not {"RUNNING", "COMPLETING"} & set(cluster.states(job)))

    told = svl(tmp_path, "sweep", "status", str(sweep))
    assert "2 fits: 1 done, 1 failed" in told.out
    assert "data.task.degree: got 9; allowed: 1 to dim = 8" in " ".join(told.out.split())
    assert "nothing to submit" in svl(tmp_path, "sweep", "slurm", str(sweep), "--only", "missing").out
    assert "would submit" in svl(tmp_path, "sweep", "slurm", str(sweep), "--only", "failed", "--dry-run").out
    output = (tmp_path / f"runs/pair/sweep/logs/{job}_0.out").read_text()
    assert f"requeued as job {job}_0" in output

    cluster.until(lambda: cluster.states(quiet) == ["COMPLETED"])
    histories = [run / "history.parquet", tmp_path / f"runs/quiet/job-{quiet}/history.parquet"]
    pd.testing.assert_frame_equal(*map(pd.read_parquet, histories))
    parts = {path.name.partition(f"-{run.name}-")[2] for path in run.glob("wandb/offline-run-*")}
    assert len(parts) == 1 and parts != {""}


@pytest.mark.slow
def test_a_job_that_may_not_be_requeued_says_so_and_one_that_is_cancelled_stays_so(cluster, tiny, tmp_path):
    words = [word for word in tiny if word not in ("fit",)]
    words += ["--trainer.max_steps", "100000", "--checkpoint.every_n_steps", "5"]
    options = [f"--chdir={tmp_path}", f"--output={tmp_path}/%j.out", str(SCRIPTS / "fit.sbatch"), *words]
    once = cluster.ask("sbatch", "--parsable", "--no-requeue", *options)
    cancelled = cluster.ask("sbatch", "--parsable", *options)
    checkpoints = {job: tmp_path / f"runs/tiny/job-{job}/checkpoints/last.ckpt" for job in (once, cancelled)}
    cluster.until(lambda: all(path.exists() for path in checkpoints.values()))
    cluster.ask("scancel", "--signal=USR1", once)
    cluster.ask("scancel", cancelled)
    cluster.until(lambda: cluster.states(once) + cluster.states(cancelled) == ["FAILED", "CANCELLED"])
    said = (tmp_path / f"{once}.out").read_text()
    assert f"job {once} could not be requeued" in said and "stopped at step" in said
    said = (tmp_path / f"{cancelled}.out").read_text()
    assert "stopped at step" in said and "requeued" not in said
    assert all(torch.load(path, weights_only=True)["global_step"] > 0 for path in checkpoints.values())


def test_more_tasks_than_an_array_may_have_are_several_arrays(cluster, tmp_path):
    script = tmp_path / "script"
    number = "$(($2 + SLURM_ARRAY_TASK_ID))"
    script.write_text(f"#!/bin/bash\necho $(($1 + {number})) >> {tmp_path}/{number}\n")
    numbers = [0, 1, 4, 5, 6, 11, 13]
    jobs = slurm.submit(str(script), ["100"], numbers, [f"--output={tmp_path}/%A_%a.out"], parallel=2)
    assert [offset for _, offset in jobs] == [0, 6, 12]
    cluster.until(lambda: {state for job, _ in jobs for state in cluster.states(job)} == {"COMPLETED"})
    assert {int(path.name): int(path.read_text()) for path in tmp_path.iterdir() if path.name.isdigit()} == {
        number: 100 + number for number in numbers
    }


def test_what_slurm_refuses_is_one_line(svl, cluster, sweep, tmp_path):
    told = svl(tmp_path, "sweep", "slurm", str(sweep), "--", "--partition", "nowhere")
    assert told.status == 2
    assert told.err.startswith("svl: error: sbatch: got '--output=") and told.err.count("\n") == 1
    assert "invalid partition specified: nowhere" in told.err
    assert not list(tmp_path.glob("runs/pair/sweep/jobs*"))


def test_where_there_is_no_slurm_that_is_said(svl, sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    told = svl(tmp_path, "sweep", "slurm", str(sweep))
    assert told.status == 2
    assert told.err.startswith("svl: error: slurm: got 'scontrol'; allowed: a machine that can reach SLURM")
