"""The W&B run of a fit, without a network: what an offline run holds, and what happens where no server answers."""

import json
import subprocess
import sys
import time

import pytest

# In processes of their own: W&B keeps state in the process, and captures its streams.
PROGRAM = """
import json, sys
from svl.cli import main
for words in json.loads(sys.argv[1]):
    status = main(words)
sys.exit(status)
"""
TRACKED = ["--wandb.mode", "auto", "--replicas.vary.data.size", "[32, online]"]


def run(folder, *commands, **environment):
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "WANDB_ERROR_REPORTING": "false"}
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


def inspect(path):
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    done = subprocess.run([*command, str(path.parent)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_nobody_logged_in_means_an_offline_run_with_config_and_metrics_of_every_arm(tiny, tmp_path):
    words = [*tiny, *TRACKED]
    stopped = [*words, "--trainer.max_steps", "4000", "--trainer.max_time", "00:00:00:01"]
    resumed = [*stopped[:-1], "00:00:00:02", "--ckpt_path", "last"]
    done = run(tmp_path, stopped, resumed)
    assert done.returncode == 0, done.stderr
    # No word of W&B's or Lightning's.
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("runs/tiny/")
    assert not [line for line in lines if "wandb" in line.lower() or "lightning" in line.lower()]
    first, second = offline_runs(tmp_path)
    # The resumed fit went on in the same run.
    assert first.name == second.name == f"run-{lines[-1].split('/')[-1]}.wandb"
    for path in (first, second):
        text = inspect(path)
        for expected in (
            "svl.tasks.Parity",
            "batch_size",
            "val/accuracy/data.size=32",
            "val/accuracy/data.size=online",
            "samples/data.size=online",
        ):
            assert expected in text


@pytest.mark.slow
def test_a_server_that_does_not_answer_costs_little_and_loses_nothing(tiny, tmp_path, monkeypatch):
    began = time.monotonic()
    settings = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
    done = run(tmp_path, [*tiny, *TRACKED], **settings)
    assert done.returncode == 0, done.stderr
    assert "kept offline" in done.stderr
    assert time.monotonic() - began < 120
    assert offline_runs(tmp_path)


def test_switched_off_it_is_not_even_imported(tiny, tmp_path):
    program = "import sys; from svl.cli import main; main(sys.argv[1:]); sys.exit('wandb.sdk' in sys.modules)"
    words = [*tiny, "--wandb.mode", "disabled"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
