"""Compiled steps compute what eager steps do; in processes of their own, without the import hook that checks shapes."""

import os
import subprocess
import sys

import pytest
import torch

SETTING = """
import torch
from svl.data import Online
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

def trained(data, rule, vary, calls=(50,), **engine):
    data.schedule(50, 50)
    network = lambda shape, outputs: MLP(shape, outputs, width=16)
    stack = ReplicaStack(
        data, TrainingSettings(network, "logistic", rule, Replicas(4, vary=vary)), ExecutionSettings(**engine)
    )
    # Not the C++ loop, which takes several steps in a call of its own.
    stack.engine = stack.engine._replace(route=stack.engine.steps)
    for start, stop in zip((0, *calls), calls):
        stack.train_steps(start, stop - start)
    return stack

def kept(stack):
    # What has diverged is some huge number, of which rounding is no small part.
    finite = stack.record["diverged_at"] < 0
    rows = lambda tree: {name: rows(v) if isinstance(v, dict) else v[finite] for name, v in tree.items()}
    tensors = {"parameters": stack.parameters_by_name(), "rule": stack.state.rule, "record": stack.record}
    return rows(tensors), stack.record["diverged_at"], stack.train_metrics(), stack.evaluate()
"""

COMPARE = """
# Fresh data: reshuffled epochs would take minutes to compile.
online = lambda: Online(Parity(8, 3), batch_size=16, test_size=1100)
cases = {
    # Several steps a call and one step a call, by the kernel, blocks side by side.
    "fused": (
        SGD(momentum=0.9, weight_decay=1e-3),
        {"model.optimizer.lr": [0.01, 0.1, 1e30]},
        (25, 49, 50),
        {"threads": 2, "block_size": 4},
    ),
    "plain": (AdamW(1e-2), {"model.optimizer.beta2": [0.9, 0.99]}, (49, 50), {"fused": False}),
}
for name, (rule, vary, calls, engine) in cases.items():
    eager = trained(online(), rule, vary, compile="never")
    compiled = trained(online(), rule, vary, calls, compile="always", **engine)
    assert compiled.engine.plan.is_compiled and not eager.engine.plan.is_compiled, name
    torch.testing.assert_close(
        kept(compiled), kept(eager), rtol=1e-4, atol=1e-5, equal_nan=True, msg=lambda m: f"{name}: {m}"
    )
"""

EAGER_MEASUREMENTS = """
data = Online(Parity(10, 3), batch_size=8, test_size=2048)
data.schedule(600, 600)
network = lambda shape, outputs: MLP(shape, outputs, width=16)
execution = ExecutionSettings(threads=2, block_size=4, evaluations=2, compile="auto", fused=False)
stack = ReplicaStack(data, TrainingSettings(network, "logistic", SGD(0.5), Replicas(8)), execution)
stack.train_steps(0, 300)
plan = stack.engine.plan
assert plan.is_compiled and not plan.compiles_evaluation and not plan.compiles_gradients
x, y = data.test_batch(stack.settings, stack.key, 0, 2048)
w, b, a, c = stack.parameters_by_name().values()
outputs = ((x @ w.mT + b[:, None]).relu() @ a.mT + c[:, None])[..., 0]
gradients = stack.gradients(300, 3)
for _ in range(20):
    torch.testing.assert_close(stack.evaluate()["val/accuracy"], (outputs * y > 0).float().mean(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(stack.gradients(300, 3), gradients, rtol=0, atol=0)
"""

FALLBACK = """
stack = trained(Online(Parity(8, 3), batch_size=16, test_size=100), SGD(0.1), {}, compile="always")
assert not stack.engine.plan.is_compiled
assert stack.record["steps"].tolist() == [50] * 4 and stack.evaluate()["val/loss"].isfinite().all()
"""


def python(script, **environment):
    command = [sys.executable, "-c", SETTING + script]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500)


@pytest.mark.slow
def test_compiled_equals_eager():
    done = python(COMPARE)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_measurements_too_few_to_compile_are_right_beside_compiled_blocks():
    """Blocks side by side must not share a network whose parameters an eager call swaps."""
    done = python(EAGER_MEASUREMENTS)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
def test_without_a_compiler_the_fit_says_so_in_one_line_and_runs_eager():
    done = python(FALLBACK, CXX="/nonexistent/c++")
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert "no C++ compiler" in line and "eager" in line
