"""An online run, from its beginning through a kill and a signal to its end: what the server has of it."""

import json
import signal

import numpy as np
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def story(tiny, fit, serve, until, tmp_path_factory):
    """A fit that is killed, goes on, is asked to stop and goes on to its end, its run on the server, and the server."""
    server, folder = serve(), tmp_path_factory.mktemp("online") / "fit"
    words = [
        *(*tiny, "--wandb.mode", "online", "--trainer.max_steps", "1200", "--trainer.log_every_n_steps", "10"),
        *("--checkpoint.every_n_seconds", "0.5"),
    ]

    def reached(step):
        return lambda: any(run.summary.get("step", 0) > step for run in server.runs.values())

    # Fits wait at a step, so that they have not ended when the server has what is waited for, however slow it is.
    killed = fit(folder, server.url, *words, hold=600)
    until(reached(50))
    killed.signal(signal.SIGKILL)
    killed.wait(-signal.SIGKILL)
    # W&B's process sends the rest; a run that goes on meanwhile would be told of fewer lines than there will be.
    killed.lose_wandb()
    stopped = fit(folder, server.url, *words, "--ckpt_path", "last", hold=900)
    until(reached(600))
    stopped.signal(signal.SIGUSR1)
    stopped.go_on()
    stopped.wait(128 + signal.SIGUSR1)
    done = fit(folder, server.url, *words, "--ckpt_path", "last").wait()
    (run,) = [run for run in server.runs.values() if run.project]
    return done, run, server


def test_one_run_in_the_project_with_the_whole_config(story):
    done, run, _ = story
    assert done.err == ""
    assert (run.name, run.project, run.state) == (done.path.name, "svl", "finished")
    assert run.fields == {"displayName": f"tiny/{run.name}", "groupName": "tiny", "jobType": "fit"}
    config = yaml.safe_load((done.path / "config.yaml").read_text())
    uploaded = dict(run.config)
    assert uploaded.pop("provenance")["command"].startswith("svl fit --experiment tiny")
    assert uploaded.pop("ckpt_path") == "last"
    assert uploaded == {key: value for key, value in config.items() if key != "ckpt_path"}


def test_every_measurement_is_there_once(story):
    done, run, _ = story
    frame = pd.read_parquet(done.path / "history.parquet")
    rows = [row for row in run.history if "samples" in row]
    assert [row["step"] for row in rows] == sorted(set(frame["step"]))
    for metric in ("val/accuracy", "val/loss", "norm_ratio"):
        means = frame.groupby("step")[metric].apply(lambda seeds: seeds.to_numpy(np.float64).mean())
        assert [row[f"{metric}/all"] for row in rows] == pytest.approx(means.to_list())
    assert run.summary["step"] == 1200
    assert run.summary["val/loss/all"] == rows[-1]["val/loss/all"]


def test_the_figure_the_table_and_the_results_are_files_of_the_server(story):
    done, run, server = story
    path = done.path
    assert run.uploads[run.summary["figures/curves"]["path"]] == (path / "figures" / "curves.png").read_bytes()
    assert json.loads(run.uploads[run.summary["arms"]["path"]])["data"] == [["all", 0]]
    ((name, artifact),) = [item for item in server.artifacts.items() if item[1]["artifactTypeName"] == "results"]
    assert (artifact["artifactCollectionName"], artifact["state"]) == (f"results-{run.name}", "COMMITTED")
    files = server.runs[name].uploads
    assert set(files) - {"manifest.json"} == {"history.parquet", "summary.json", "config.yaml"}
    assert all(files[file] == (path / file).read_bytes() for file in set(files) - {"manifest.json"})
