"""The CUDA kernels over full batches: emulated against the eager step on whole populations and on sets in phases."""

import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svl.data import FullBatch, Online, Population
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.routes.warp_full_batch import WarpFullBatch

GPU = torch.device("cuda")
NAMES = ["logistic", "hinge", "squared", "correlation"]
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@needs_compiler
@pytest.mark.parametrize(
    ("loss", "depth", "bias"),
    [
        *(("logistic", 2, True), ("squared", 2, False), ("logistic", 3, True)),
        *(pytest.param(loss, 3, False, marks=pytest.mark.slow) for loss in NAMES[1:]),
    ],
)
def test_it_equals_the_eager_step_over_the_population(advanced, assert_equal, loss, depth, bias):
    """Every input of the cube once, in three slices, of which the last one is not full."""
    data = Population(Parity(8, 3, support="drawn"), test_size=16)
    rule = SGD(0.2, momentum=0.9, weight_decay=1e-2)
    assert_equal(*advanced(WarpFullBatch, steps=2, data=data, loss=loss, depth=depth, bias=bias, rule=rule))


@needs_compiler
@pytest.mark.parametrize("depth", [2, 3])
def test_sets_that_grow_in_phases_up_to_the_population(advanced, assert_equal, depth):
    data = FullBatch(Parity(8, 3, support="drawn"), [40, 200, "population"], [1, 1], test_size=16)
    assert_equal(*advanced(WarpFullBatch, data=data, steps=3, depth=depth))


@needs_compiler
def test_replicas_with_sets_of_different_sizes(advanced, assert_equal):
    data = FullBatch(Parity(8, 3), 40, test_size=16)
    replicas = Replicas(1, vary={"data.size": [1, 40, 133, "population"]})
    assert_equal(*advanced(WarpFullBatch, steps=2, data=data, replicas=replicas))


@needs_compiler
def test_a_replica_that_diverges_stops_at_the_same_step_and_touches_no_other(advanced):
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e18]})
    data = Population(Parity(6, 3), test_size=16)
    by_kernel, eager, _ = advanced(WarpFullBatch, steps=4, data=data, loss="squared", replicas=replicas)
    assert eager.record["diverged_at"].tolist()[1] >= 0
    assert torch.equal(by_kernel.record["diverged_at"], eager.record["diverged_at"])
    for name, expected in eager.parameters_by_name().items():
        torch.testing.assert_close(by_kernel.parameters_by_name()[name][0], expected[0], rtol=1e-4, atol=1e-6)


@needs_compiler
@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    *(st.integers(1, 8), st.integers(1, 64), st.integers(2, 3), st.integers(1, 200)),
    *(st.booleans(), st.booleans(), st.sampled_from(NAMES)),
)
def test_it_equals_the_eager_step_for_random_shapes(
    advanced, assert_equal, dim, width, depth, size, bias, is_population, loss
):
    data = FullBatch(Parity(dim, (dim + 1) // 2), "population" if is_population else min(size, 2**dim), test_size=8)
    network = {"width": width, "depth": depth, "bias": bias}
    assert_equal(*advanced(WarpFullBatch, steps=2, data=data, loss=loss, rule=SGD(0.1, momentum=0.5), **network))


@needs_compiler
def test_it_is_used_only_where_it_agrees_with_the_eager_step(emulation, make_stack):
    data = FullBatch(Parity(9, 3), "population", micro_batch_size=128, test_size=16)
    stack = make_stack(data=data, replicas=Replicas(5))
    engine = stack.engine
    assert engine.blocks[0].ranges[0].micro_batches == 4
    assert type(WarpFullBatch.start(stack.spec, engine.steps, engine.blocks)) is WarpFullBatch
    emulation.wrong = {"LOSS": 1}
    with pytest.warns(UserWarning, match="over full batches is not used.*differs from the eager step"):
        assert WarpFullBatch.start(stack.spec, engine.steps, engine.blocks) is engine.steps


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Population(Parity(20, 6)), None),
        (FullBatch(Parity(20, 6), 5000), None),
        (Online(Parity(20, 6)), "full batches"),
        (FullBatch(Parity(40, 6), "population"), "32 bits"),
    ],
    ids=["population", "set", "fresh", "too large"],
)
def test_what_it_serves(monkeypatch, make_stack, data, reason):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    found = WarpFullBatch.obstacle(make_stack(data=data).spec, GPU)
    assert found is None if reason is None else reason in found
