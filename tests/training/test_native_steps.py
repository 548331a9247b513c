"""The C++ loop as a route against the eager steps: whole fits, and what it leaves to other routes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import AutomaticPhases, FullBatch, Online, Phases, Population, Subset, TwoSets, Zipf
from svl.interventions import ClipNorm, LabelNoise
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity, SingleIndex, Staircase
from svl.training.groups import ParameterGroup
from svl.training.routes.native_steps import NativeSteps
from svl.training.routes.step_by_step import StepByStep

TASK = Parity(20, 4, "drawn")
STRATEGIES = {
    "online": lambda: Online(TASK, batch_size=48, test_size=100),
    "epochs": lambda: Subset(TASK, 100, batch_size=24, test_size=100),
    "replacement": lambda: Subset(TASK, 100, "replacement", batch_size=24, test_size=100),
    "two sets": lambda: TwoSets(TASK, 64, batch_size=24, test_size=100),
    "zipf": lambda: Zipf(TASK, 200, 1.0, batch_size=24, test_size=100),
    "phases": lambda: Phases(TASK, [64, 200, "online"], [5, 5], batch_size=24, test_size=100),
    "batches of unequal size": lambda: Subset(TASK, 100, batch_size=64, batch_ratio=0.3, test_size=100),
}


def both(lab, data, steps=20, **settings):
    """The same fit by the C++ loop, in calls of several lengths, and by eager steps."""
    native, eager = (lab.stack(data(), steps, compile=compile, **settings) for compile in ("always", "never"))
    assert isinstance(native.engine.route, NativeSteps) and isinstance(eager.engine.route, StepByStep)
    for start, count in ((0, 1), (1, 8), (9, steps - 9)):
        native.train_steps(start, count)
    eager.train_steps(0, steps)
    return native, eager


def assert_same(native, eager, rtol=1e-4, atol=1e-5):
    torch.testing.assert_close(native.parameters_by_name(), eager.parameters_by_name(), rtol=rtol, atol=atol)
    torch.testing.assert_close(native.state.rule, eager.state.rule, rtol=rtol, atol=atol)
    for name in ("diverged_at", "samples", "steps"):
        assert torch.equal(native.record[name], eager.record[name])
    torch.testing.assert_close(native.train_metrics(), eager.train_metrics(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(native.evaluate(), eager.evaluate(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_without_waiting(lab, strategy):
    assert_same(*both(lab, STRATEGIES[strategy], network=lab.network(19)))


@pytest.mark.slow
@given(
    width=st.integers(1, 40),
    depth=st.integers(1, 3),
    activation=st.sampled_from(["relu", "gelu", "sigmoid", "quadratic"]),
    loss=st.sampled_from(["logistic", "hinge", "squared", "correlation"]),
    bias=st.booleans(),
    adaptive=st.booleans(),
    dim=st.integers(1, 70),
)
@settings(max_examples=25, deadline=None)
def test_every_network_loss_and_optimizer(lab, width, depth, activation, loss, bias, adaptive, dim):
    # Adam divides a gradient by its own size: where a kink turns a gradient on or off, rounding is enough to move it.
    adaptive = adaptive and loss != "hinge" and activation != "relu"
    task = Parity(dim, max(1, dim // 3))
    rule = AdamW(3e-3, weight_decay=0.1) if adaptive else SGD(0.03, 0.9, 1e-3)
    network = lab.network(width, depth=depth, activation=activation, bias=bias)
    data = lambda: Online(task, batch_size=16, test_size=50)  # noqa: E731
    assert_same(*both(lab, data, 12, network=network, loss=loss, rule=rule), rtol=1e-3, atol=1e-4)


def test_groups_schedules_and_arms(lab):
    groups = {
        "first": ParameterGroup("layers.0.weight", lr=0.05, scale=2.0),
        "frozen": ParameterGroup("layers.1.bias", frozen=True),
    }
    schedule = {"decay": lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)}
    vary = {"data.size": [50, "online"], "model.groups.first.weight_decay": [0.0, 0.1]}
    data = lambda: Subset(TASK, 50, batch_size=24, test_size=100)  # noqa: E731
    replicas = Replicas(2, vary=vary)
    assert_same(*both(lab, data, groups=groups, schedules=schedule, replicas=replicas, rule=SGD(0.2, 0.5)))


def test_a_replica_that_diverges_stays_as_it_was(lab):
    replicas = Replicas(2, vary={"model.optimizer.lr": [0.1, 1e18]})
    native, eager = both(lab, STRATEGIES["online"], replicas=replicas, loss="squared", rule=SGD(0.1))
    assert native.record["diverged_at"].tolist() == eager.record["diverged_at"].tolist()
    assert native.record["diverged_at"].tolist()[:2] == [-1, -1] and min(native.record["diverged_at"].tolist()[2:]) > 0
    torch.testing.assert_close(native.evaluate(), eager.evaluate(), rtol=1e-4, atol=1e-5, equal_nan=True)


def test_no_bit_depends_on_blocks_threads_or_calls(lab):
    def trained(calls, **execution):
        stack = lab.stack(STRATEGIES["epochs"](), 40, compile="always", replicas=Replicas(6), **execution)
        for start, stop in zip((0, *calls), calls, strict=False):
            stack.train_steps(start, stop - start)
        return stack.parameters_by_name()

    whole = trained((40,))
    for other in (trained((1, 2, 7, 40)), trained((40,), block_size=2, threads=2), trained((20, 40), threads=3)):
        assert all(torch.equal(whole[name], other[name]) for name in whole)


def test_a_resumed_stack_continues_bit_for_bit(lab):
    whole, first, second = (lab.stack(STRATEGIES["phases"](), 20, compile="always") for _ in range(3))
    whole.train_steps(0, 20)
    first.train_steps(0, 7)
    second.load_state_dict(lab.through_a_file(first.state_dict()))
    second.train_steps(7, 13)
    for name, parameter in whole.parameters_by_name().items():
        assert torch.equal(parameter, second.parameters_by_name()[name])


class Relabelled(Parity):
    """Other examples than parity's, whose bits it inherits."""

    def examples(self, key, index):
        inputs, targets = super().examples(key, index)
        return inputs, -targets


class Lenient(Parity):
    """Another idea of a correct answer."""

    def correct(self, outputs, targets):
        return outputs[..., 0] * targets > -1


class Doubled(Online):
    """A strategy that changes the examples behind its indices."""

    def learned(self, draw, index, interventions=None):
        inputs, targets = super().learned(draw, index, interventions)
        return 2 * inputs, targets


@pytest.mark.parametrize(
    "settings",
    [
        {"data": Online(Staircase(20, 6, 0.1), test_size=8), "loss": "squared"},
        {"data": Online(SingleIndex(10), test_size=8), "loss": "squared"},
        {"data": Online(Relabelled(20, 6), test_size=8)},
        {"data": Online(Lenient(20, 6), test_size=8)},
        {"data": Doubled(TASK, test_size=8)},
        {"data": Subset(Parity(8, 3), "population", test_size=8)},
        {"data": FullBatch(TASK, 512, test_size=8)},
        {"data": Population(Parity(8, 3), test_size=8)},
        {"data": AutomaticPhases(TASK, 2, 64, 128, test_size=8)},
        {"data": Online(TASK, test_size=8, interventions={"noise": LabelNoise(0.1)})},
        {"fused": False},
        {"network": lambda shape, output: torch.nn.Linear(shape[0], output)},
        {"interventions": {"clip": ClipNorm(1.0)}},
        {"compile": "never"},
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_what_it_does_not_serve_it_leaves_to_other_routes(lab, settings):
    settings = {"data": STRATEGIES["online"](), "compile": "always", **settings}
    stack = lab.stack(**settings)
    assert stack.engine.plan.step_route is StepByStep


def test_adamw_on_relu_units(lab):
    rule = AdamW(1e-3, weight_decay=0.1)
    assert_same(*both(lab, STRATEGIES["online"], network=lab.network(19), rule=rule), rtol=1e-3, atol=1e-4)
