"""The CUDA kernel in which a warp trains a replica: emulated lane by lane against the eager step, and compiled."""

import ctypes
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svl.data import Online, Subset, TwoSets
from svl.models import MLP
from svl.native.cuda import kernel_path, kernel_source
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity, Staircase
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.groups import ParameterGroup
from svl.training.routes import warp
from svl.training.routes.triton import LOSSES
from svl.training.routes.warp import WarpSteps

HERE, CPU, GPU = Path(__file__).parent, torch.device("cpu"), torch.device("cuda")
NAMES = ["logistic", "hinge", "squared", "correlation"]
has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
INSTANCES: dict[tuple, ctypes.CDLL] = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("emulated")


def emulated(folder, name, defines):
    """A kernel's source compiled for the host, where the lanes run in turn, and blocks one after the other."""
    key = (name, *defines.items())
    if key not in INSTANCES:
        made = folder / f"{len(INSTANCES)}.so"
        what = {"SOURCE": f'"{name}.cu"', "KERNEL": f"sgd_{name}", **defines}
        command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", f"-I{HERE}", f"-I{kernel_path(name).parent}"]
        command += [str(HERE / "emulated_warp.cpp"), *(f"-D{k}={v}" for k, v in what.items()), "-o", str(made)]
        subprocess.run(command, check=True)
        INSTANCES[key] = ctypes.CDLL(str(made))

    def launch(grid, threads, arguments, is_reversed=False):
        assert threads == (32 * defines["WARPS"], 1, 1)
        assert all(argument.is_contiguous() for argument in arguments if isinstance(argument, torch.Tensor))
        pointers = [
            ctypes.c_void_p(None if argument is None else argument.data_ptr())
            if argument is None or isinstance(argument, torch.Tensor)
            else ctypes.c_int(argument)
            for argument in arguments
        ]
        INSTANCES[key].emulate(ctypes.c_int(grid[0]), ctypes.c_bool(is_reversed), *pointers)

    return launch


def make_stack(data=None, width=20, depth=2, bias=True, loss="logistic", replicas=None, rule=None, **settings):
    data = data or Online(Parity(20, 6, support="drawn"), batch_size=40, test_size=64)
    data.schedule(1000, 1)

    def network(input_shape, output_dim):
        return MLP(input_shape, output_dim, width=width, depth=depth, bias=bias)

    replicas = replicas or Replicas(1, vary={"model.optimizer.lr": [0.1, 0.5]})
    training = TrainingSettings(network, loss, rule or SGD(0.3), replicas, **settings)
    return ReplicaStack(data, training, ExecutionSettings(compile="never"))


def advanced(folder, first=0, steps=3, is_reversed=False, **settings):
    """A stack that the emulated kernel has advanced, one that the eager step has, and one at the start."""
    by_kernel, eager, start = (make_stack(**settings) for _ in range(3))
    route = WarpSteps(by_kernel.spec, by_kernel.engine.steps, is_compiled=False)
    launch = emulated(folder, route.shape.kernel, route.defines)
    route.__dict__["_kernel"] = partial(launch, is_reversed=is_reversed)
    for block in by_kernel.engine.blocks:
        route.advance(block, by_kernel._clock(first, steps))
    eager.train_steps(first, steps)
    return by_kernel, eager, start


def assert_equal(by_kernel, eager, start, tolerance=2e-5):
    """Each replica's distance is small against how far it has moved; a unit at its kink may fall to either side."""
    for name, expected in eager.parameters_by_name().items():
        moved = (expected - start.parameters_by_name()[name]).flatten(1).norm(dim=1).clamp(min=1e-6)
        distance = (by_kernel.parameters_by_name()[name] - expected).flatten(1).norm(dim=1)
        assert (distance <= tolerance * moved.clamp(min=1e-2)).all(), (name, distance / moved)
        found, velocity = (stack.state.rule[name]["momentum_buffer"] for stack in (by_kernel, eager))
        torch.testing.assert_close(found, velocity, rtol=1e-4, atol=1e-6, msg=name)
    for name in ("correct", "steps", "diverged_at"):
        torch.testing.assert_close(by_kernel.record[name], eager.record[name], rtol=1e-6, atol=0)
    torch.testing.assert_close(by_kernel.record["loss"], eager.record["loss"], rtol=1e-5, atol=1e-6)


@has_compiler
@pytest.mark.parametrize("loss", NAMES)
@pytest.mark.parametrize(("depth", "bias"), [(2, True), (2, False), (3, True)])
def test_it_equals_the_eager_step_for_every_loss(folder, loss, depth, bias):
    assert [type(make_stack(loss=name).spec.objective.loss) for name in NAMES] == list(LOSSES)
    rule = SGD(0.2, momentum=0.9, weight_decay=1e-2)
    assert_equal(*advanced(folder, loss=loss, depth=depth, bias=bias, rule=rule))


@has_compiler
@pytest.mark.parametrize(
    "data",
    [Subset(Parity(20, 6), 100), Subset(Parity(20, 6), 64, "replacement"), TwoSets(Parity(20, 6), 64)],
    ids=["epochs", "replacement", "two sets"],
)
def test_it_trains_on_the_indices_of_the_strategy(folder, data):
    assert_equal(*advanced(folder, data=data))


@has_compiler
def test_groups_freezing_and_schedules(folder):
    groups = {
        "second": ParameterGroup(["layers.1.*"], lr=0.9, weight_decay=0.1),
        "still": ParameterGroup(["layers.0.bias"], frozen=True),
    }
    schedules = {"linear": partial(torch.optim.lr_scheduler.LinearLR, total_iters=5)}
    assert_equal(*advanced(folder, first=2, groups=groups, schedules=schedules))


@has_compiler
def test_a_replica_that_diverges_stops_at_the_same_step_and_touches_no_other(folder):
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e18]})
    by_kernel, eager, _ = advanced(folder, steps=5, loss="squared", replicas=replicas)
    assert eager.record["diverged_at"].tolist()[1] >= 0
    assert torch.equal(by_kernel.record["diverged_at"], eager.record["diverged_at"])
    for name, expected in eager.parameters_by_name().items():
        torch.testing.assert_close(by_kernel.parameters_by_name()[name][0], expected[0], rtol=1e-4, atol=1e-6)


@has_compiler
def test_several_launches_equal_one(folder):
    once, _, _ = advanced(folder, steps=4, rule=SGD(0.3, momentum=0.5))
    twice = make_stack(rule=SGD(0.3, momentum=0.5))
    route = WarpSteps(twice.spec, twice.engine.steps, is_compiled=False)
    route.__dict__["_kernel"] = emulated(folder, route.shape.kernel, route.defines)
    for first in (0, 2):
        route.advance(twice.engine.blocks[0], twice._clock(first, 2))
    for name, expected in once.parameters_by_name().items():
        assert torch.equal(twice.parameters_by_name()[name], expected)


@has_compiler
@pytest.mark.parametrize("bias", [True, False])
def test_the_network_of_figure_5(folder, bias):
    """20-64-64-1, four warps a replica; the last batch of examples is not a whole round of each warp."""
    data = Online(Parity(20, 6, support="drawn"), batch_size=150, test_size=64)
    rule = SGD(0.3, momentum=0.5)
    assert_equal(*advanced(folder, data=data, width=64, depth=3, bias=bias, rule=rule))


@has_compiler
def test_no_warp_reads_what_another_has_not_written(folder):
    data = Online(Parity(20, 6, support="drawn"), batch_size=150, test_size=64)
    first, last = (advanced(folder, data=data, width=64, depth=3, is_reversed=order)[0] for order in (False, True))
    for name, expected in first.parameters_by_name().items():
        assert torch.equal(last.parameters_by_name()[name], expected)


@has_compiler
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    *(st.integers(1, 23), st.integers(1, 64), st.integers(2, 3), st.integers(1, 70)),
    *(st.booleans(), st.sampled_from(NAMES), st.booleans()),
)
def test_it_equals_the_eager_step_for_random_shapes(folder, dim, width, depth, batch, bias, loss, has_momentum):
    data = Online(Parity(dim, (dim + 1) // 2, support="drawn"), batch_size=batch, test_size=8)
    rule = SGD(0.1, momentum=0.5 if has_momentum else 0.0, weight_decay=0.01)
    network = {"width": width, "depth": depth, "bias": bias}
    assert_equal(*advanced(folder, steps=2, data=data, loss=loss, rule=rule, **network))


def obstacle(monkeypatch, capability=(9, 0), **settings):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    return WarpSteps.obstacle(make_stack(**settings).spec, GPU)


@pytest.mark.parametrize(
    "settings",
    [{}, {"width": 64}, {"data": Online(Parity(23, 6)), "width": 64}],
    ids=["20", "64", "23 inputs"],
)
def test_it_serves_what_fits_the_registers(monkeypatch, settings):
    assert obstacle(monkeypatch, **settings) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"width": 65}, "registers"),
        ({"data": Online(Parity(24, 6))}, "registers"),
        ({"rule": AdamW()}, "SGD"),
        ({"data": Online(Staircase(20, 6)), "loss": "squared"}, "parity"),
        ({"capability": (7, 5)}, "tensor cores"),
    ],
    ids=["width", "inputs", "optimizer", "task", "old GPU"],
)
def test_it_leaves_the_rest_to_other_routes(monkeypatch, settings, reason):
    assert reason in obstacle(monkeypatch, **settings)


def test_a_cpu_has_no_use_for_it():
    stack = make_stack()
    assert "GPU" in WarpSteps.obstacle(stack.spec, CPU)


@has_compiler
def test_it_is_used_only_where_it_agrees_with_the_eager_step(folder, monkeypatch):
    stack = make_stack(rule=SGD(0.3, momentum=0.5), replicas=Replicas(9))
    engine = stack.engine
    monkeypatch.setattr(warp, "cuda_kernel", lambda source, name, options: emulated(folder, "warp", DEFINES))
    DEFINES = WarpSteps(stack.spec, engine.steps).defines
    assert type(WarpSteps.start(stack.spec, engine.steps, engine.blocks)) is WarpSteps
    wrong = {**DEFINES, "LOSS": 1}
    monkeypatch.setattr(warp, "cuda_kernel", lambda source, name, options: emulated(folder, "warp", wrong))
    with pytest.warns(UserWarning, match="the CUDA kernel is not used.*differs from the eager step"):
        assert WarpSteps.start(stack.spec, engine.steps, engine.blocks) is engine.steps


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
@pytest.mark.parametrize("momentum", [0, 1])
def test_it_compiles_for_hopper_without_spilling_registers(tmp_path, momentum):
    defines = {"DIM": 20, "WIDTH": 64, "BIAS": 1, "LOSS": 0, "MOMENTUM": momentum, **warp.tiles()}
    command = ["nvcc", "-arch=sm_90", "-cubin", "-std=c++17", "-Xptxas", "-v", str(warp.SOURCE), "-o", "x.cubin"]
    done = subprocess.run(
        [*command, *(f"-D{k}={v}" for k, v in defines.items())], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stderr
