"""Every shipped config runs, and every part that a config can name is in one."""

import json
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
import svl.optim
import svl.tasks
from svl.reproduction.catalogue import PAPERS

ROOT = Path(__file__).parents[1]
SWEEPS = sorted(ROOT.glob("configs/sweeps/*.yaml"))
# The papers' figures, which tests/reproduction runs.
FIGURES = [path for paper in PAPERS for path in ROOT.glob(f"configs/{paper}/*.yaml")]
CONFIGS = sorted(set(ROOT.glob("configs/**/*.yaml")) - {*SWEEPS, *FIGURES})
SHORT = [
    *(
        "--replicas.seeds",
        "2",
        "--trainer.max_steps",
        "16",
        "--trainer.log_every_n_steps",
        "8",
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

FORKS = """
import json, os, sys
import svl.cli.fit
from svl.cli import main

for line in sys.stdin:
    folder, words = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
        status = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_runs(svl, config, tmp_path):
    name = str(config.relative_to(ROOT / "configs"))
    # What is run in full below needs no more here than its shapes checked.
    own = SMALL.get(name, FEW_STEPS if name in LEARNS else ())
    done = svl(tmp_path, "fit", "--config", str(config.relative_to(ROOT)), *SHORT, *own)
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    assert sorted(history["step"].unique()) == ([0, 1, 2] if own else [0, 8, 16])
    assert history["val/loss"].notna().all()


@pytest.mark.parametrize("config", SWEEPS, ids=lambda path: path.name)
def test_every_sweep_resolves(svl, config, tmp_path):
    told = svl(tmp_path, "sweep", "status", str(config.relative_to(ROOT)))
    assert told.status == 0, told.err
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def forked():
    """Runs commands in processes of their own, without the shape checks, forked from one that imports everything."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # tests run side by side
    command, pipe = [sys.executable, "-c", FORKS], subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:

        def run(folder, words):
            print(json.dumps([str(folder), words]), file=process.stdin, flush=True)
            status = int(process.stdout.readline())
            return status, (folder / "out").read_text(), (folder / "err").read_text()

        yield run
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("config", LEARNS)
def test_every_task_and_network_learns(forked, config, tmp_path):
    """The shipped config with all its steps, but for its other arms and seeds: replicas do not touch each other."""
    arm, metric, bound, _ = LEARNS[config]
    parts = yaml.safe_load((ROOT / "configs" / config).read_text())
    vary = parts["replicas"]["vary"] | {key: [value] for key, value in arm.items()}
    seeds = "1" if "Transformer" in parts["model"]["network"]["class_path"] else "2"
    # So few replicas cost less than compiling them, which one config does; the rest is tested elsewhere.
    compiled = "always" if "mup" in config else "never"
    fewer = ["--replicas.seeds", seeds, "--replicas.vary", json.dumps(vary), "--model.compile", compiled]
    quiet = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
    status, out, err = forked(tmp_path, ["fit", "--config", f"configs/{config}", *fewer, *quiet])
    assert status == 0, err
    run = tmp_path / out.splitlines()[-1]
    history = pd.read_parquet(run / "history.parquet")
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
    bases = {"BatchGradientIntervention", "DataIntervention", "SampleGradientIntervention", "WeightIntervention"}
    assert used == set(svl.interventions.__all__) - bases


def test_every_optimizer_has_a_config():
    used = {yaml.safe_load(path.read_text())["model"]["optimizer"]["class_path"] for path in CONFIGS}
    optimizers = {name for name in svl.optim.__all__ if issubclass(getattr(svl.optim, name), svl.optim.UpdateRule)}
    assert used == optimizers - {"UpdateRule"}


def test_every_strategy_has_a_config():
    used = {yaml.safe_load(path.read_text())["data"]["class_path"] for path in CONFIGS}
    assert used == set(svl.data.__all__) - {"Axis", "ReuseDataModule"}
