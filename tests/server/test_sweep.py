"""``wandb sweep`` and ``wandb agent`` with the real client, from a file in W&B's format to the runs of its sweep."""

import itertools
import json
import re
import signal
import subprocess

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow

PARAMETERS = {
    "model.network.width": {"values": [8, 16]},
    # A list: what varies as a number stays inside the fit, as arms.
    "replicas.vary.data.size": {"value": [32, "online"]},
    # A whole group of settings, whose name the resolved config has too.
    "model.optimizer": {"value": "AdamW"},
    "data": {"value": "Subset"},
    "experiment": {"value": "swept"},
}


@pytest.fixture(scope="module")
def swept(tiny, serve, environment, tmp_path_factory):
    """What ``wandb agent`` left of a sweep: the server, the sweep, and the run directories by their W&B run."""
    server, folder = serve(), tmp_path_factory.mktemp("sweep")
    taken = ("--experiment", "--data", "--model.network.width", "--wandb.mode")
    pairs = zip(tiny[1::2], tiny[2::2], strict=True)
    words = [word for pair in pairs if pair[0] not in taken for word in pair]
    sweep = {
        "name": "widths",
        "method": "grid",
        "metric": {"name": "mean/val/accuracy", "goal": "maximize"},
        "parameters": PARAMETERS,
        "command": ["${env}", "svl", "fit", "--data", "Subset", *words, "${args}"],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))

    def wandb(*words):
        done = subprocess.run(
            ["wandb", *words], cwd=folder, env=environment(server.url), capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = wandb("sweep", "--project", "widths", "sweep.yaml")
    address = re.search(r"wandb agent (\S+)", said)[1]
    # One more than there are: the server sends the agent home.
    wandb("agent", "--count", "3", address)
    return server, address, list(folder.glob("runs/swept/*"))


def test_every_combination_is_trained_once_in_the_agents_runs(swept):
    server, address, paths = swept
    _, project, name = address.split("/")
    runs = [run for run in server.runs.values() if run.sweep]
    assert [(run.state, run.sweep, run.project) for run in runs] == [("finished", name, project)] * 2
    assert sorted(run.config["model.network.width"] for run in runs) == [8, 16]
    assert server.sweeps[name].state == "FINISHED"
    # And nothing else: the fits have opened no runs of their own.
    assert {run.name for run in server.runs.values() if run.project} == {run.name for run in runs}
    assert sorted(run.fields["displayName"] for run in runs) == sorted(f"swept/{path.name}" for path in paths)


def test_configs_and_histories_on_the_server_are_those_of_the_run_directories(swept):
    server, _, paths = swept
    runs = {run.fields["displayName"].split("/")[1]: run for run in server.runs.values() if run.sweep}
    assert len(paths) == 2
    for path in paths:
        run = runs[path.name]
        config = yaml.safe_load((path / "config.yaml").read_text())
        assert {key: run.config[key] for key in config} == config
        assert config["model"]["network"]["init_args"]["width"] == run.config["model.network.width"]
        frame = pd.read_parquet(path / "history.parquet")
        assert set(frame["data.size"]) == {"32", "online"}
        rows = [row for row in run.history if "samples" in row]
        assert [row["step"] for row in rows] == sorted(set(frame["step"]))
        for row, (size, arm) in itertools.product(rows, {"32": "size=32", "online": "size=online"}.items()):
            own = frame[(frame["data.size"] == size) & (frame["step"] == row["step"])]
            assert row[f"val/loss/{arm}"] == pytest.approx(own["val/loss"].mean())
        last = frame[frame["step"] == frame["step"].max()]
        assert run.summary["mean/val/accuracy"] == pytest.approx(last["val/accuracy"].mean())


def test_a_fit_of_an_agent_goes_on_in_the_agents_run_without_the_agent(tiny, fit, serve, until, tmp_path):
    server = serve()
    run = server.run("given", "widths")
    run.sweep, run.state = "some", "pending"
    swept = tmp_path / "swept.yaml"
    swept.write_text(yaml.safe_dump({"wandb_version": 1, "model.network.width": {"value": 8}}))
    names = {"SWEEP_ID": "some", "RUN_ID": "given", "PROJECT": "widths", "ENTITY": "team", "SWEEP_PARAM_PATH": swept}
    agents = {f"WANDB_{key}": str(value) for key, value in names.items()}
    words = [*tiny, "--wandb.mode", "online", "--trainer.max_steps", "800"]
    stopped = fit(tmp_path / "fit", server.url, *words, **agents)
    until(lambda: len(run.history) > 5 or stopped.status is not None)
    stopped.signal(signal.SIGUSR1)
    stopped.wait(128 + signal.SIGUSR1)
    assert run.state == "failed"
    done = fit(tmp_path / "fit", server.url, *words, "--ckpt_path", "last").wait()
    assert (run.state, run.sweep, run.summary["step"]) == ("finished", "some", 800)
    assert [found.name for found in server.runs.values() if found.project] == ["given"]
    steps = pd.read_parquet(done.path / "history.parquet")["step"]
    assert [row["step"] for row in run.history if "samples" in row] == sorted(set(steps))
    assert json.loads((done.path / "wandb" / "agent.json").read_text())["project"] == "widths"
