"""Agents of a W&B sweep as an array job: real SLURM, the real client, a double of the server on this machine."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server():
    """The double that tests/server has."""
    spec = importlib.util.spec_from_file_location("wandb_server", ROOT / "tests" / "server" / "wandb_server.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.WandbServer()
    yield server
    server.close()


@pytest.mark.slow
def test_agents_of_an_array_job_train_every_fit_of_a_sweep_once(cluster, server, tiny, tmp_path, monkeypatch):
    for name, value in {
        "WANDB_BASE_URL": server.url,
        "WANDB_API_KEY": "0" * 40,
        "WANDB_ERROR_REPORTING": "false",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setitem(cluster.environment, name, value)
    words = [word for word in tiny if word not in ("--wandb.mode", "disabled")]
    sweep = {"command": ["svl", *words, "${args}"], "method": "grid", "name": "agents"}
    (tmp_path / "sweep.yaml").write_text(
        yaml.safe_dump({**sweep, "parameters": {"model.network.width": {"values": [4, 8]}}})
    )
    said = cluster.ask("sh", "-c", "wandb sweep --project some sweep.yaml 2>&1", cwd=tmp_path)
    address = re.search(r"wandb agent (\S+)", said)[1]
    options = ["--parsable", "--array=1-2", f"--output={tmp_path}/%A_%a.out"]
    job = cluster.ask("sbatch", *options, str(ROOT / "slurm" / "agent.sbatch"), address, cwd=tmp_path)
    cluster.until(lambda: cluster.states(job) == ["COMPLETED"] * 2)
    runs = [run for run in server.runs.values() if run.sweep]
    outputs = [path.read_text() for path in tmp_path.glob("*.out")]
    assert [run.state for run in runs] == ["finished"] * 2, outputs
    assert sorted(run.config["model.network.width"] for run in runs) == [4, 8]
    assert len(list(tmp_path.glob("runs/tiny/*/summary.json"))) == 2
