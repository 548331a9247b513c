"""The Triton kernel: what it serves, that it compiles for GPUs, and its tests in Triton's interpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from svl.data import FullBatch, Online, Subset
from svl.interventions import ClipNorm, LabelNoise
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.tasks import Parity, Staircase
from svl.training.routes.triton import TritonSteps, serves

has_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
TASK = Parity(20, 6)


@pytest.mark.slow
@has_triton
def test_the_kernel_equals_the_eager_step_in_tritons_interpreter():
    module = Path(__file__).with_name("triton_interpreted.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(module)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-5000:]


@has_triton
@pytest.mark.parametrize(("capability", "instruction"), [(80, "mma.sync"), (90, "wgmma.mma_async")])
def test_it_compiles_for_gpus_with_products_on_tensor_cores(capability, instruction):
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from svl.training.routes.triton_kernel import sgd_steps

    kinds = ["*i64", "*fp64", "*i64", "*i32", "*fp64", *["*fp32"] * 4, "*i64", "*i64", *["i32"] * 4]
    constants = {"DIM": 20, "WIDTH": 64, "BIAS": 1, "LOSS": "logistic", "ROWS": 64, "INPUTS": 32, "UNITS": 64}
    constants |= {"FACTOR": tl.bfloat16}
    signature = dict(zip(sgd_steps.arg_names, [*kinds, *["constexpr"] * len(constants)], strict=True))
    built = triton.compile(ASTSource(sgd_steps, signature, constants), target=GPUTarget("cuda", capability, 32))
    assert instruction in built.asm["ptx"]
    assert built.metadata.shared <= 48 * 1024 and built.asm["cubin"]


def stack_of(lab, data=None, network=None, rule=None, **settings):
    network = network or lab.network(64)
    return lab.stack(data or Online(TASK, test_size=8), network=network, rule=rule or SGD(), **settings)


def served(stack):
    return serves(stack.spec)


@pytest.mark.parametrize(
    "data",
    [Online(TASK), Subset(TASK, 512), Subset(TASK, 512, "replacement"), Subset(Parity(30, 30), "online")],
)
def test_it_serves_rules_on_parity(lab, data):
    assert served(stack_of(lab, data))


@pytest.mark.parametrize(
    "settings",
    [
        {"data": Online(Staircase(20, 6)), "loss": "squared"},
        {"data": Subset(TASK, "population")},
        {"data": FullBatch(TASK, 512)},
        {"data": Subset(TASK, 512, batch_ratio=0.125)},
        {"data": Online(TASK, interventions={"noise": LabelNoise(0.1)})},
        {"network": lambda shape, output: MLP(shape, output, depth=3)},
        {"network": lambda shape, output: MLP(shape, output, activation="gelu")},
        {"network": lambda shape, output: MLP(shape, output, width=512)},
        {"network": lambda shape, output: torch.nn.Linear(shape[0], output)},
        {"rule": AdamW()},
        {"interventions": {"clip": ClipNorm(1.0)}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_the_kernel_does_not_know_it_leaves_to_the_step(lab, settings):
    assert not served(stack_of(lab, **settings))


def test_a_cpu_has_no_use_for_it(lab):
    stack = stack_of(lab)
    assert "GPU" in TritonSteps.obstacle(stack.spec, torch.device("cpu"))
    assert stack.engine.route is stack.engine.steps
