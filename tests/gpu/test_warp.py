"""The CUDA kernel in which warps train replicas: emulated lane by lane against the eager step, and compiled."""

import re
import shutil
import subprocess
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svl.data import Online, Phases, Subset, TwoSets
from svl.native.cuda import kernel_source
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity, Staircase
from svl.training.groups import ParameterGroup
from svl.training.routes import warp
from svl.training.routes.triton import LOSSES
from svl.training.routes.warp import Shape, WarpSteps

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NAMES = ["logistic", "hinge", "squared", "correlation"]
has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@has_compiler
@pytest.mark.parametrize(
    ("loss", "depth", "bias"),
    [
        *((loss, 2, bias) for loss in NAMES for bias in (True, False)),
        *(pytest.param(loss, 3, True, marks=pytest.mark.slow) for loss in NAMES[1:]),
        ("logistic", 3, False),
    ],
)
def test_it_equals_the_eager_step_for_every_loss(advanced, assert_equal, make_stack, loss, depth, bias):
    assert [type(make_stack(loss=name).spec.objective.loss) for name in NAMES] == list(LOSSES)
    rule = SGD(0.2, momentum=0.9, weight_decay=1e-2)
    assert_equal(*advanced(steps=2, loss=loss, depth=depth, bias=bias, rule=rule))


@has_compiler
@pytest.mark.parametrize(
    ("data", "sizes", "draw", "depth"),
    [
        # A batch has examples of up to three epochs.
        (Subset(Parity(20, 6), 100, batch_size=60), [100, "online", 37], warp.EPOCHS, 2),
        (Subset(Parity(20, 6), 100, batch_size=60), [100, "online", 37], warp.EPOCHS, 3),
        (Subset(Parity(20, 6), 64, "replacement"), [64, 2**20 - 3], warp.REPLACEMENT, 2),
        (Subset(Parity(20, 6)), ["online"], warp.FRESH, 2),
        (TwoSets(Parity(20, 6), 64), [64, 999], warp.TWO_SETS, 2),
        (Phases(Parity(20, 6), [64, "online"], [1]), None, warp.GIVEN, 2),
    ],
    ids=["epochs", "epochs, depth 3", "replacement", "fresh", "two sets", "phases"],
)
def test_it_trains_on_the_examples_of_the_strategy(advanced, assert_equal, data, sizes, draw, depth):
    """Loss and accuracy are those of other examples if one digit differs."""
    replicas = Replicas(1, vary={"data.size": sizes}) if sizes else None
    by_kernel, eager, start = advanced(steps=2, data=data, depth=depth, replicas=replicas)
    assert_equal(by_kernel, eager, start)
    assert WarpSteps(by_kernel.spec, by_kernel.engine.steps).draw == draw


@has_compiler
@pytest.mark.parametrize("depth", [2, 3])
def test_groups_freezing_and_schedules(advanced, assert_equal, depth):
    groups = {
        "second": ParameterGroup(["layers.1.*"], lr=0.9, weight_decay=0.1),
        "still": ParameterGroup(["layers.0.bias"], frozen=True),
    }
    schedules = {"linear": partial(torch.optim.lr_scheduler.LinearLR, total_iters=5)}
    assert_equal(*advanced(first=2, depth=depth, groups=groups, schedules=schedules))


@has_compiler
@pytest.mark.parametrize("depth", [2, 3])
def test_a_replica_that_diverges_stops_at_the_same_step_and_touches_no_other(advanced, depth):
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e18]})
    by_kernel, eager, _ = advanced(steps=5, depth=depth, loss="squared", replicas=replicas)
    assert eager.record["diverged_at"].tolist()[1] >= 0
    assert torch.equal(by_kernel.record["diverged_at"], eager.record["diverged_at"])
    for name, expected in eager.parameters_by_name().items():
        torch.testing.assert_close(by_kernel.parameters_by_name()[name][0], expected[0], rtol=1e-4, atol=1e-6)


@has_compiler
def test_several_launches_equal_one(advanced, make_stack):
    once, _, _ = advanced(steps=4, rule=SGD(0.3, momentum=0.5))
    twice = make_stack(rule=SGD(0.3, momentum=0.5))
    route = WarpSteps(twice.spec, twice.engine.steps, is_compiled=False)
    for first in (0, 2):
        route.advance(twice.engine.blocks[0], twice._clock(first, 2))
    for name, expected in once.parameters_by_name().items():
        assert torch.equal(twice.parameters_by_name()[name], expected)


@has_compiler
def test_the_network_of_figure_5(advanced, assert_equal, emulation):
    """20-64-64-1, four warps a replica, in any order; the last batch is not a whole round of each warp."""
    settings = {"data": Online(Parity(20, 6, support="drawn"), batch_size=150, test_size=64), "steps": 2}
    settings |= {"width": 64, "depth": 3, "rule": SGD(0.3, momentum=0.5)}
    found = advanced(**settings)
    assert_equal(*found)
    emulation.is_reversed = True
    again = advanced(**settings)[0].parameters_by_name()
    for name, expected in found[0].parameters_by_name().items():
        assert torch.equal(again[name], expected)


@has_compiler
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    *(st.integers(1, 23), st.integers(1, 64), st.integers(2, 3), st.integers(1, 70)),
    *(st.booleans(), st.sampled_from(NAMES), st.booleans()),
)
def test_it_equals_the_eager_step_for_random_shapes(
    advanced, assert_equal, dim, width, depth, batch, bias, loss, has_momentum
):
    data = Online(Parity(dim, (dim + 1) // 2, support="drawn"), batch_size=batch, test_size=8)
    rule = SGD(0.1, momentum=0.5 if has_momentum else 0.0, weight_decay=0.01)
    network = {"width": width, "depth": depth, "bias": bias}
    assert_equal(*advanced(steps=2, data=data, loss=loss, rule=rule, **network))


def obstacle(monkeypatch, spec, capability=(9, 0)):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    return WarpSteps.obstacle(spec, GPU)


@pytest.mark.parametrize(
    "settings",
    [{}, {"width": 64}, {"width": 64, "depth": 3}, {"data": Online(Parity(23, 6)), "width": 64}],
    ids=["20", "64", "3 layers", "23 inputs"],
)
def test_it_serves_what_fits_the_registers(monkeypatch, make_stack, settings):
    assert obstacle(monkeypatch, make_stack(**settings).spec) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"width": 65}, "registers"),
        ({"data": Online(Parity(24, 6))}, "registers"),
        ({"depth": 4}, "3-layer"),
        ({"rule": AdamW()}, "SGD"),
        ({"data": Online(Staircase(20, 6)), "loss": "squared"}, "parity"),
    ],
    ids=["width", "inputs", "depth", "optimizer", "task"],
)
def test_it_leaves_the_rest_to_other_routes(monkeypatch, make_stack, settings, reason):
    assert reason in obstacle(monkeypatch, make_stack(**settings).spec)


def test_an_old_gpu_and_a_cpu_have_no_use_for_it(monkeypatch, make_stack):
    spec = make_stack().spec
    assert "tensor cores" in obstacle(monkeypatch, spec, capability=(7, 5))
    assert "GPU" in WarpSteps.obstacle(spec, CPU)


@has_compiler
def test_it_is_used_only_where_it_agrees_with_the_eager_step(emulation, make_stack):
    stack = make_stack(rule=SGD(0.3, momentum=0.5), replicas=Replicas(9))
    engine = stack.engine
    assert type(WarpSteps.start(stack.spec, engine.steps, engine.blocks)) is WarpSteps
    emulation.wrong = {"LOSS": 1}
    with pytest.warns(UserWarning, match="the CUDA kernel is not used.*differs from the eager step"):
        assert WarpSteps.start(stack.spec, engine.steps, engine.blocks) is engine.steps


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
@pytest.mark.parametrize(("depth", "most"), [(2, 0), (3, 24)])
@pytest.mark.parametrize(("file", "momentum"), [("steps", 0), ("steps", 1), ("slices", 0)])
def test_it_compiles_for_hopper_and_spills_next_to_nothing(tmp_path, depth, most, file, momentum):
    defines = {**Shape(20, 64, 1, depth).defines, "LOSS": 0, "MOMENTUM": momentum, "SUMMERS": 16}
    defines["DRAW"] = warp.EPOCHS if file == "steps" else warp.FRESH
    (tmp_path / "x.cu").write_text(kernel_source(file))
    command = ["nvcc", "-arch=sm_90", "-cubin", "-std=c++17", "-Xptxas", "-v", "x.cu", "-o", "x.cubin"]
    done = subprocess.run(
        [*command, *(f"-D{k}={v}" for k, v in defines.items())], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    spilled = re.findall(r"(\d+) bytes spill stores", done.stderr)
    assert spilled and max(map(int, spilled)) <= most
