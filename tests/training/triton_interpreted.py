"""The Triton kernel in Triton's interpreter against the eager stack; test_triton.py runs it in another process."""

import pytest
import torch
import triton
import triton.language as tl

from svl import random
from svl.data import Online, Subset, TwoSets
from svl.losses.names import name_of
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.groups import ParameterGroup
from svl.training.routes import triton as route
from svl.training.routes import triton_kernel
from svl.training.routes.triton import TritonSteps


def make_stack(
    data=None, width=20, bias=True, loss="logistic", replicas=None, compile="never", rule=None, fused=True, **settings
):
    data = data or Online(Parity(20, 6, support="drawn"), batch_size=40, test_size=64)
    data.schedule(1000, 1)

    def network(input_shape, output_dim):
        return MLP(input_shape, output_dim, width=width, bias=bias)

    replicas = replicas or Replicas(2, vary={"model.optimizer.lr": [0.1, 0.5]})
    rule = rule or SGD(momentum=0.5, weight_decay=1e-3)
    training = TrainingSettings(network, loss, rule, replicas, **settings)
    return ReplicaStack(data, training, ExecutionSettings(compile, fused))


def advanced(steps=5, **settings):
    """A stack that the kernel has advanced, and one that the eager step has."""
    fused, eager = make_stack(**settings), make_stack(**settings)
    engine = fused.engine
    assert TritonSteps.obstacle(fused.spec, engine.plan.device) is None
    kernel = TritonSteps(fused.spec, engine.steps, is_compiled=False)
    for block in engine.blocks:
        kernel.advance(block, fused._clock(0, steps))
    eager.train_steps(0, steps)
    return fused, eager


def assert_equal(fused, eager):
    for name, parameter in eager.parameters_by_name().items():
        torch.testing.assert_close(fused.parameters_by_name()[name], parameter, rtol=1e-5, atol=1e-6, msg=name)
        found, expected = (stack.state.rule[name]["momentum_buffer"] for stack in (fused, eager))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)
    for name in ("correct", "steps", "diverged_at"):
        torch.testing.assert_close(fused.record[name], eager.record[name], rtol=1e-6, atol=0)
    torch.testing.assert_close(fused.record["loss"], eager.record["loss"], rtol=1e-5, atol=1e-6)


@triton.jit
def words_of(key, index, out, N: tl.constexpr):
    at = tl.arange(0, N)
    w0, w1, w2, w3 = tl.randint4x(tl.load(key), tl.load(index + at))
    tl.store(out + at, w0)
    tl.store(out + N + at, w1)
    tl.store(out + 2 * N + at, w2)
    tl.store(out + 3 * N + at, w3)


def test_its_random_bits_are_those_of_the_tasks():
    halves = random.key(2**63 - 12345)
    index = torch.tensor([0, 1, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**62, 2**62 + 2**33])
    out = torch.empty(4, len(index), dtype=torch.int32)
    words_of[(1,)](halves[0] | halves[1] << 32, index, out, N=len(index))
    assert torch.equal(out.long() & random.MASK32, torch.stack(random.bits(halves, index)))


@pytest.mark.parametrize("loss", [name_of(loss) for loss in route.LOSSES])
@pytest.mark.parametrize("bias", [True, False])
def test_several_steps_equal_the_eager_ones(loss, bias):
    assert_equal(*advanced(loss=loss, bias=bias, rule=SGD(momentum=0.9, weight_decay=1e-2)))


@pytest.mark.parametrize(("dim", "width", "batch"), [(1, 1, 1), (32, 16, 64), (33, 5, 70), (64, 17, 16), (128, 30, 9)])
def test_inputs_units_and_batches_of_any_size(dim, width, batch):
    data = Online(Parity(dim, max(1, dim // 2), support="drawn"), batch_size=batch)
    assert_equal(*advanced(steps=3, data=data, width=width))


@pytest.mark.parametrize(
    "data",
    [
        lambda task: Subset(task, 100, "epochs", batch_size=24),
        lambda task: Subset(task, 2**20, "replacement", batch_size=24),
        lambda task: TwoSets(task, 64, batch_size=24),
    ],
)
def test_examples_of_any_strategy_that_is_a_rule(data):
    assert_equal(*advanced(data=data(Parity(20, 3))))


def test_rates_and_freezing_by_group():
    groups = {
        "output": ParameterGroup(["layers.1.*"], lr=0.9),
        "bias": ParameterGroup(["layers.0.bias"], frozen=True),
    }
    fused, eager = advanced(groups=groups)
    assert_equal(fused, eager)
    start = make_stack(groups=groups).parameters_by_name()["layers.0.bias"]
    assert torch.equal(fused.parameters_by_name()["layers.0.bias"], start)


def test_schedules():
    schedule = {"decay": lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)}
    assert_equal(*advanced(schedules=schedule))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what is meant to overflow
def test_a_replica_that_diverges_stays_as_it_was_and_leaves_the_others_alone():
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e18]})
    fused, eager = advanced(steps=8, replicas=replicas, loss="squared", rule=SGD())
    assert fused.record["diverged_at"].tolist() == eager.record["diverged_at"].tolist() != [-1, -1]
    assert_equal_rows(fused, eager, 0)
    assert fused.record["steps"].tolist() == eager.record["steps"].tolist()


def assert_equal_rows(fused, eager, replica):
    for name, parameter in eager.parameters_by_name().items():
        torch.testing.assert_close(fused.parameters_by_name()[name][replica], parameter[replica], rtol=1e-5, atol=1e-6)


def test_a_long_run_is_several_launches(monkeypatch):
    monkeypatch.setattr(route, "_COUNTERS_PER_LAUNCH", 4 * 40 * 2)
    assert_equal(*advanced(steps=5))


def test_a_stack_takes_it_by_itself_and_one_setting_switches_it_off():
    fused, eager = make_stack(compile="always"), make_stack()
    for start, count in ((0, 3), (3, 1), (4, 4)):
        fused.train_steps(start, count)
        eager.train_steps(start, count)
    assert isinstance(fused.engine.route, TritonSteps)
    assert_equal(fused, eager)
    assert torch.equal(fused.record["samples"], eager.record["samples"])
    off = make_stack(compile="always", fused=False)
    assert off.engine.route is off.engine.steps


def wrong_labels(word):
    return word & 1


def raises(word):
    raise RuntimeError("no such instruction")


@pytest.mark.parametrize(("broken", "reason"), [(wrong_labels, "differs"), (raises, "no such instruction")])
def test_a_broken_kernel_is_refused_in_one_line(monkeypatch, broken, reason):
    monkeypatch.setattr(triton_kernel, "_parity", triton.jit(broken))
    stack = make_stack()
    engine = stack.engine
    with pytest.warns(UserWarning, match=f"Triton kernel is not used.*{reason}") as warned:
        assert TritonSteps.start(stack.spec, engine.steps, engine.blocks) is engine.steps
    assert len(warned) == 1 and "\n" not in str(warned[0].message)
