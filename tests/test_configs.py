"""Every shipped config runs, and every part that a config can name is in one."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import svl.data
import svl.interventions
import svl.models
import svl.tasks

ROOT = Path(__file__).parents[1]
SWEEPS = sorted(ROOT.glob("configs/sweeps/*.yaml"))
CONFIGS = sorted(set(ROOT.glob("configs/**/*.yaml")) - set(SWEEPS))
SHORT = [
    *(
        "--replicas.seeds",
        "2",
        "--trainer.max_steps",
        "64",
        "--trainer.log_every_n_steps",
        "32",
        "--model.compile",
        "never",
    ),
    *("--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"),
]
FEW_STEPS = ("--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1")
# At the published size a step is a matter of minutes on two cores.
SMALL = {
    "in_context_regression/gpt2.yaml": (
        *FEW_STEPS,
        *("--data.batch_size", "2", "--data.test_size", "2", "--replicas.seeds", "1"),
        *("--replicas.vary.data.axes.context.size", "[4]"),
    )
}
# What each task's and network's config comes to, and a model that learns nothing would: an arm, a metric, a bound.
LEARNS = {
    "digits/mlp.yaml": ({"data.size": "population"}, "val/accuracy", 0.9, "ten classes: 0.1"),
    "digits/conv.yaml": ({"data.size": "population"}, "val/accuracy", 0.9, "ten classes: 0.1"),
    "facts/subjects.yaml": ({"data.axes.subject.size": "population"}, "val/accuracy", 0.95, "eight answers: 0.125"),
    "in_context_regression/noisy.yaml": ({"data.axes.context.size": "online"}, "val/query_loss", 2.08, "E[y^2] = 4"),
    "linear_regression/epochs.yaml": ({"data.size": "online"}, "val/loss", 1.1, "E[y^2] = 33"),
    "modular_addition/online.yaml": ({"data.size": "online"}, "val/accuracy", 0.95, "31 classes: 0.03"),
    "parity/alpha.yaml": ({"model.parameterisation.alpha": 2.0}, "val/accuracy", 0.95, "two classes: 0.5"),
    "parity/mup.yaml": ({"model.optimizer.lr": 0.3}, "val/accuracy", 0.9, "two classes: 0.5"),
    "parity/quadratic_neuron.yaml": ({"data.size": "online"}, "val/loss", -0.45, "a neuron that found nothing: 0"),
    "parity/transformer.yaml": ({"data.size": "online"}, "val/accuracy", 0.95, "two classes: 0.5"),
    "single_index/online.yaml": ({"data.size": "online"}, "val/loss", 1.0, "Var[He_3] = 6"),
    "staircase/online.yaml": ({"data.task.epsilon": 0.2}, "val/accuracy", 0.95, "two classes: 0.5"),
    "text/epochs.yaml": ({"data.size": 16384}, "val/perplexity", 8.0, "the frequencies of bytes alone: above 20"),
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_runs(svl, config, tmp_path):
    name = str(config.relative_to(ROOT / "configs"))
    # What is run in full below needs no more here than its shapes checked.
    own = SMALL.get(name, FEW_STEPS if name in LEARNS else ())
    done = svl(tmp_path, "fit", "--config", str(config.relative_to(ROOT)), *SHORT, *own)
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    assert sorted(history["step"].unique()) == ([0, 1, 2] if own else [0, 32, 64])
    assert history["val/loss"].notna().all()


@pytest.mark.parametrize("config", SWEEPS, ids=lambda path: path.name)
def test_every_sweep_resolves(svl, config, tmp_path):
    told = svl(tmp_path, "sweep", "run", str(config.relative_to(ROOT)), "--dry-run")
    assert told.status == 0, told.err
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("config", LEARNS)
def test_every_task_and_network_learns(config, tmp_path):
    """The shipped config as it stands, in a process of its own: without the shape checks, compiled where it is long."""
    quiet = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
    command = [sys.executable, "-m", "svl.cli", "fit", "--config", f"configs/{config}", *quiet]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # tests run side by side
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    run = Path(tmp_path, done.stdout.splitlines()[-1])
    history = pd.read_parquet(run / "history.parquet")
    arm, metric, bound, _ = LEARNS[config]
    chosen = history[(history[list(arm)].astype(str) == pd.Series(arm).astype(str)).all(axis=1)]
    first, last = (chosen[chosen["step"] == step][metric].mean() for step in (0, chosen["step"].max()))
    if metric.endswith("accuracy"):
        assert first < bound < last
    else:
        assert first > bound > last
    if "noisy" in config:  # a small Transformer comes within a factor of 1.5 of ridge at the full context
        assert last < 1.5 * chosen["reference/ridge_query"].mean()


def test_every_task_and_network_has_a_config_that_learns():
    parts = [yaml.safe_load((ROOT / "configs" / config).read_text()) for config in LEARNS]
    tasks = {part["data"]["init_args"]["task"]["class_path"] for part in parts} | {"Parity"}
    assert tasks == set(svl.tasks.__all__) - {"Task"}
    networks = {part["model"]["network"]["class_path"].rpartition(".")[2] for part in parts}
    assert networks == set(svl.models.__all__)
    parameterisations = {part["model"].get("parameterisation", {}).get("class_path") for part in parts}
    assert parameterisations >= {"Alpha", "MuP"}


def test_every_intervention_has_a_config():
    used = set()
    for part in map(yaml.safe_load, (path.read_text() for path in CONFIGS)):
        for owner in (part["data"]["init_args"], part["model"]):
            used |= {one["class_path"] for one in owner.get("interventions", {}).values()}
    bases = {"BatchGradientIntervention", "DataIntervention", "SampleGradientIntervention"}
    assert used == set(svl.interventions.__all__) - bases


def test_every_strategy_has_a_config():
    used = {yaml.safe_load(path.read_text())["data"]["class_path"] for path in CONFIGS}
    assert used == set(svl.data.__all__) - {"Axis", "ReuseDataModule"}
