"""Every strategy and intervention computes in a compiled step what it computes in an eager one.

In processes of their own, without the import hook that checks shapes; a few fits that have everything among them. Some
run what was traced as it is: torch's backend, which takes most of the time, has the like in the others.
"""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from torch.optim import lr_scheduler
from svl.data import *
from svl.interventions import *
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import *
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings, compilation
from svl.training.groups import ParameterGroup

PARITY, DRAWN = Parity(8, 4), Parity(8, 3, "drawn")
COSINE = {"cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 20)}
FIRST = {"first": ParameterGroup("layers.0.*", stream="fresh", lr=0.2)}
CASES = {
    "labels and clipping, by the kernel": (
        lambda: TwoSets(PARITY, 64, 0.5, batch_size=16, interventions={"labels": Labels(), "noise": LabelNoise()}),
        {"schedules": COSINE, "interventions": {"bias": GradientBias(0.3, 3), "clip": ClipNorm(0.5)}},
        {"data.interventions.labels.kind": ["random", "permuted"], "data.interventions.noise.rate": [0.0, 0.3]},
    ),
    "phases without bias beside a biased stream": (
        lambda: Phases(
            PARITY,
            [32, 64, "online"],
            [5, 5],
            reuse="replacement",
            batch_size=16,
            interventions={"bias": BiasRemoval()},
            streams={"fresh": lambda task: Online(task, 8, interventions={"bias": AddedBias(4)})},
        ),
        {"rule": AdamW(0.01), "groups": FIRST, "interventions": {"bias": GradientBias(0.3, 3)}},
        {"data.interventions.bias.kind": ["none", "mean", "class_means"]},
    ),
    "automatic phases, a teacher and PCGrad": (
        lambda: AutomaticPhases(
            DRAWN, 3, 8, 32, 0.6, 3, "replacement", batch_size=8, interventions={"labels": Labels("teacher", [1])}
        ),
        {"interventions": {"pcgrad": PCGrad()}},
        {"data.max_epochs": [1, 4]},
    ),
    "zipf with batches in proportion": (
        lambda: Zipf(PARITY, 40, 1.0, batch_size=16, batch_ratio=0.2),
        {},
        {"data.size": [40, 80], "data.exponent": [0.5, 1.5]},
    ),
    "whitened gaussians": (
        lambda: Subset(SingleIndex(6), 32, batch_size=16, interventions={"bias": BiasRemoval("whitening")}),
        {"loss": "squared", "rule": SGD(0.01)},
        {"data.interventions.bias.kind": ["none", "mean", "whitening"]},
    ),
    "curricula and zipf on an axis": (
        lambda: Online(InContextRegression(2, 3), 16, axes={"context": Axis([2, 4, 8], [5, 5])}),
        {"loss": "squared", "rule": SGD(0.01)},
        {"data.axes.context.size": [[2, 4, 8], 8], "data.axes.context.exponent": [0.0, 1.0]},
    ),
    "whole batches by zipf": (lambda: Zipf(PARITY, 160, 1.0, "batches", batch_size=16), {}, {}),
    # The second phase needs code of its own, in the middle of blocks side by side.
    "full batches in phases, blocks side by side": (
        lambda: FullBatch(PARITY, [16, 64], [12], 32),
        {"block_size": 1, "threads": 2},
        {},
    ),
    "a full batch in parts": (
        lambda: FullBatch(PARITY, 64, None, 32, interventions={"bias": BiasRemoval(), "labels": Labels("permuted")}),
        {"schedules": COSINE, "interventions": {"clip": ClipNorm(0.1)}},
        {"data.size": [40, 64, "population"]},
    ),
}
TRACED = [
    "automatic phases, a teacher and PCGrad",
    "zipf with batches in proportion",
    "whitened gaussians",
    "curricula and zipf on an axis",
    "whole batches by zipf",
    "a full batch in parts",
]
MEASURED = [  # once for each task
    "labels and clipping, by the kernel",
    "automatic phases, a teacher and PCGrad",
    "whitened gaussians",
    "curricula and zipf on an axis",
]


def trained(name, compile):
    make, settings, vary = CASES[name]
    data, settings = make(), dict(settings)
    data.schedule(20, 20)
    loss, rule = settings.pop("loss", "logistic"), settings.pop("rule", SGD(0.5))
    network = lambda shape, outputs: MLP(shape, outputs, width=8)
    how = {name: settings.pop(name) for name in ("block_size", "threads") if name in settings}
    stack = ReplicaStack(
        data,
        TrainingSettings(network, loss, rule, Replicas(2, vary=vary), **settings),
        ExecutionSettings(compile=compile, **how),
    )
    stack.train_steps(0, 9)
    stack.train_steps(9, 11)
    # The measurement knows the task alone, whatever the strategy and the interventions.
    measured = stack.evaluate() if name in MEASURED else None
    rest = (stack.record, stack.state.data, stack.state.memory, measured)
    gradients = stack.gradients(20, 2) if name.startswith("automatic") else None
    return stack.engine.plan.is_compiled, (stack.parameters_by_name(), stack.state.rule, *rest, gradients)


assert set(MEASURED) < set(CASES) and set(TRACED) < set(CASES)
backend = compilation._compile
for name in CASES:
    compilation._compile = (lambda graph, inputs, threads: graph) if name in TRACED else backend
    (no, eager), (yes, compiled) = trained(name, "never"), trained(name, "always")
    assert yes and not no, name
    torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5, equal_nan=True, msg=lambda m: f"{name}: {m}")
    print(name)
"""


@pytest.mark.slow
def test_compiled_equals_eager():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9
