"""The W&B run of a fit, without a network: what an offline run holds, and what happens where no server answers."""

import base64
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

# In processes of their own: W&B keeps state in the process, and captures its streams.
PROGRAM = """
import json, sys
from svl.cli import main
for words in json.loads(sys.argv[1]):
    status = main(words)
sys.exit(status)
"""
# Full batches of different sizes: at one step the arms have processed different numbers of samples.
TRACKED = [
    *("--wandb.mode", "auto", "--data", "FullBatch", "--replicas.vary.data.size", "[32, population]"),
    *("--replicas.seeds", "3", "--trainer.max_steps", "1000", "--trainer.log_every_n_steps", "50"),
    *("--trainer.callbacks", "[NormRatio, Throughput]", "--model.optimizer.lr", "0.5"),
]
ARMS = {"size=32": "32", "size=population": "population"}


def run(folder, *commands, **environment):
    # On a busy machine two threads that wait for each other take many times as long as one.
    threads = {"OMP_NUM_THREADS": "1"}
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "WANDB_ERROR_REPORTING": "false", **threads}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=folder,
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def offline_runs(folder):
    return sorted(folder.glob("runs/*/*/wandb/offline-run-*/run-*.wandb"))


def records(path):
    """What W&B's own reader finds in an offline run, by the kind of record."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        record = json.loads(line)
        found.setdefault(record["type"], []).append(record[record["type"]])
    return found


@pytest.fixture(scope="module")
def fit(tiny, tmp_path_factory):
    """A fit in a git repository that stops half-way, and goes on: its output, and the records of both parts."""
    folder = tmp_path_factory.mktemp("tracked")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "--quiet"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "-"], cwd=folder, check=True)
    words = [*tiny, *TRACKED]
    done = run(folder, [*words, "--trainer.max_time", "00:00:00:01"], [*words, "--ckpt_path", "last"])
    assert done.returncode == 0, done.stderr
    return folder, done, [records(path) for path in offline_runs(folder)]


@pytest.fixture(scope="module")
def rows(fit):
    """Every row that was logged, in both parts of the fit."""
    _, _, parts = fit
    return [record["item"] for part in parts for record in part["history"]]


@pytest.fixture(scope="module")
def history(fit):
    folder, done, _ = fit
    return pd.read_parquet(folder / done.stdout.splitlines()[-1] / "history.parquet")


@pytest.mark.slow
def test_nobody_logged_in_means_an_offline_run_and_a_resumed_fit_goes_on_in_it(fit):
    folder, done, parts = fit
    # No word of W&B's or Lightning's.
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("runs/tiny/")
    assert not [line for line in lines if "wandb" in line.lower() or "lightning" in line.lower()]
    assert len(parts) == 2
    for part in parts:
        (opened,) = part["run"]
        assert opened["run_id"] == lines[-1].split("/")[-1]
        # A team's runs gather by experiment.
        assert (opened["run_group"], opened["job_type"], opened["project"]) == ("tiny", "fit", "svl")
        assert opened["resume"]
    # Nothing is kept where it would not travel with the run directory.
    assert not list(folder.glob(".local/**/staging/*"))


@pytest.mark.slow
def test_the_whole_config_and_the_state_of_git_are_there(fit):
    folder, done, parts = fit
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()
    config = yaml.safe_load((folder / done.stdout.splitlines()[-1] / "config.yaml").read_text())
    # Where the fit was to stop is no setting of the run's.
    free = [("trainer", "max_time"), ("ckpt_path",)]
    for part, resumed in zip(parts, (False, True), strict=True):
        uploaded = part["run"][0]["config"]["update"]
        provenance = uploaded.pop("provenance")
        del uploaded["_wandb"]
        for *groups, name in free:
            for settings in (uploaded, config):
                for group in groups:
                    settings = settings[group]
                settings.pop(name, None)
        assert uploaded == config
        assert (provenance["git_commit"], provenance["git_dirty"]) == (head, True)
        assert provenance["command"].startswith("svl fit --experiment tiny")
        assert ("--ckpt_path last" in provenance["command"]) == resumed
        assert part["run"][0]["git"]["commit"] == head


@pytest.mark.slow
def test_metrics_have_step_as_their_axis_and_samples_beside_it(fit, history):
    _, _, parts = fit
    defined = {metric.get("name") or metric["glob_name"]: metric for metric in parts[1]["metric"]}
    assert "step_metric" not in defined["step"]
    assert "step_metric" not in defined["samples"]
    assert defined["*"]["step_metric"] == "step"
    # Bounds of intervals and the means over all arms stay out of the automatic charts, and nothing else does.
    hidden = {name for name, metric in defined.items() if metric["options"].get("hidden")}
    metrics = ["val/accuracy", "train/accuracy", "val/loss", "train/loss", "norm_ratio", "success"]
    bounds = {f"{side}/{metric}/{arm}" for side in ("low", "high") for metric in metrics for arm in ARMS}
    assert hidden == bounds | {f"mean/{metric}" for metric in metrics[:-1]}
    steps = {metric: defined[metric]["step_metric"] for metric in hidden}
    assert set(steps.values()) == {"step"}


@pytest.mark.slow
def test_each_arm_is_logged_against_its_own_samples(rows, history):
    measured = [row for row in rows if "samples" in row]
    assert {row["step"] for row in measured} == set(history["step"])
    for name, size in ARMS.items():
        own = history[history["data.size"] == size]
        logged = {(row["step"], row["samples"]) for row in measured if f"val/loss/{name}" in row}
        assert logged == set(zip(own["step"], own["samples"], strict=True))
    assert {row["samples"] / row["step"] for row in measured if row["step"]} == {32, 256}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ARMS.items())
def test_means_intervals_and_success_are_those_of_the_history(rows, history, name, size):
    own = history[history["data.size"] == size]
    passed = dict.fromkeys(own["seed"], False)
    logged = {row["step"]: row for row in rows if f"val/loss/{name}" in row}
    for step, seeds in own.groupby("step"):
        row = logged[step]
        for metric in ("val/accuracy", "val/loss", "norm_ratio"):
            values = seeds[metric].to_numpy(np.float64)
            assert row[f"{metric}/{name}"] == pytest.approx(values.mean())
            names = [f"low/{metric}/{name}", f"high/{metric}/{name}"]
            if len(set(values)) == 1:  # seeds that are all equal do not say how far others are from them
                assert not row.keys() & set(names)
                continue
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            expected = [values.mean() - half, values.mean() + half]
            if metric == "val/accuracy":
                expected = np.clip(expected, 0, 1).tolist()
            assert [row[bound] for bound in names] == pytest.approx(expected)
        for seed, value in zip(seeds["seed"], seeds["val/accuracy"], strict=True):
            passed[seed] |= value >= 0.9
        interval = stats.binomtest(sum(passed.values()), len(passed)).proportion_ci(method="wilson")
        assert row[f"success/{name}"] == pytest.approx(np.mean(list(passed.values())))
        assert (row[f"low/success/{name}"], row[f"high/success/{name}"]) == pytest.approx(tuple(interval))


@pytest.mark.slow
def test_the_mean_over_all_arms_is_with_the_most_samples_and_once_a_step(rows, history):
    logged = [row for row in rows if "mean/val/loss" in row]
    most = history.groupby("step")["samples"].max()
    assert {row["step"]: row["samples"] for row in logged} == most.to_dict() and len(logged) == len(most)
    for row in logged:
        every = history[history["step"] == row["step"]]
        for metric in ("val/accuracy", "val/loss", "norm_ratio"):
            assert row[f"mean/{metric}"] == pytest.approx(every[metric].to_numpy(np.float64).mean())


@pytest.mark.slow
def test_throughput_has_the_step_too(rows):
    speeds = [row for row in rows if "throughput/samples_per_second" in row]
    assert len(speeds) >= 20
    assert all(row["step"] % 50 == 0 and row["memory/peak_gib"] > 0 for row in speeds)


@pytest.mark.slow
def test_the_arms_are_a_table_with_the_rank_from_small_to_large(fit):
    folder, _, _ = fit
    for path in offline_runs(folder):
        (file,) = path.parent.glob("files/media/table/arms_*.table.json")
        table = json.loads(file.read_text())
        assert table["columns"] == ["arm", "data.size", "rank"]
        assert table["data"] == [["size=32", "32", 0], ["size=population", "population", 1]]


@pytest.mark.slow
def test_figure_history_summary_and_config_are_uploaded_at_the_end(fit):
    folder, done, parts = fit
    path = folder / done.stdout.splitlines()[-1]
    (artifact,) = [found for found in parts[1]["artifact"] if found["type"] == "results"]
    assert artifact["name"] == f"results-{path.name}"
    contents = {entry["path"]: entry for entry in artifact["manifest"]["contents"]}
    assert set(contents) == {"history.parquet", "summary.json", "config.yaml"}
    for name, entry in contents.items():
        # W&B's copy, which stays as it is when the fit goes on.
        kept = Path(entry["local_path"])
        assert kept.is_relative_to(path)
        assert kept.read_bytes() == (path / name).read_bytes()
        assert entry["digest"] == base64.b64encode(hashlib.md5(kept.read_bytes()).digest()).decode()
    image = next(record["item"] for record in parts[1]["history"] if "figures/curves.path" in record["item"])
    file = offline_runs(folder)[1].parent / "files" / image["figures/curves.path"]
    assert file.read_bytes() == (path / "figures" / "curves.png").read_bytes()


@pytest.mark.slow
def test_a_server_that_does_not_answer_costs_little_and_loses_nothing(tiny, tmp_path, monkeypatch):
    began = time.monotonic()
    settings = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
    done = run(tmp_path, [*tiny, "--wandb.mode", "auto"], **settings)
    assert done.returncode == 0, done.stderr
    assert "kept offline" in done.stderr
    assert time.monotonic() - began < 120
    assert offline_runs(tmp_path)


@pytest.mark.slow
def test_switched_off_it_is_not_even_imported(tiny, tmp_path):
    program = "import sys; from svl.cli import main; main(sys.argv[1:]); sys.exit('wandb.sdk' in sys.modules)"
    words = [*tiny, "--wandb.mode", "disabled"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
