"""The C++ loop as a route against the eager steps: whole fits, and what it leaves to other routes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl import native
from svl.data import AutomaticPhases, FullBatch, Online, Phases, Population, Subset, TwoSets, Zipf
from svl.interventions import AddedBias, ClipNorm, LabelNoise
from svl.losses import CrossEntropy
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Dataset, LinearRegression, Parity, SingleIndex, Staircase
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
    near = {"rtol": max(rtol, 1e-4), "atol": max(atol, 1e-5), "equal_nan": True}  # NaN: no accuracy
    torch.testing.assert_close(native.train_metrics(), eager.train_metrics(), **near)
    torch.testing.assert_close(native.evaluate(), eager.evaluate(), **near)


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


class Drawn(Online):
    """A strategy whose rule branches on a value, which torch.func.vmap does not allow."""

    def indices(self, draw):
        index = super().indices(draw)
        return index if int(draw.step) % 2 else index + 1000


def stored(kind):
    """Stored items of three features: classes, numbers, vectors, or labels -1 and 1."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 3)).astype(np.float32)
    y = {
        "class": (x[:, 0] > 0) + 2 * (x[:, 1] > 0),
        "sign": x[:, 0] > 0,
        "number": x[:, 0] * x[:, 1],
        "vector": x[:, :2] * x[:, 1:],
    }
    return Dataset((x, y[kind]), target_kind={"vector": None}.get(kind, kind))


GELU = {"activation": "gelu"}
FITS = {
    "Gaussian inputs": (lambda: Online(SingleIndex(10), batch_size=24, test_size=1500), "squared", GELU),
    "signs of Gaussian inputs": (
        lambda: Subset(SingleIndex(7, "sign"), 60, batch_size=24, test_size=100), "logistic", GELU
    ),
    "linear regression by a linear network": (
        lambda: Subset(LinearRegression(9), 100, "replacement", batch_size=24, test_size=100), "squared", {"depth": 1}
    ),
    "a staircase": (lambda: Online(Staircase(20, 6, 0.1), batch_size=24, test_size=100), "squared", {}),
    "other labels": (lambda: Online(Relabelled(20, 6), batch_size=24, test_size=100), "logistic", {}),
    "another idea of a correct answer": (lambda: Online(Lenient(20, 6), batch_size=24, test_size=100), "logistic", {}),
    "other inputs": (lambda: Doubled(TASK, batch_size=24, test_size=100), "logistic", {}),
    "the population's inputs": (
        lambda: Subset(Parity(8, 3), "population", batch_size=24, test_size=100), "logistic", {}
    ),
    "label noise": (
        lambda: Subset(TASK, 100, batch_size=24, test_size=100, interventions={"noise": LabelNoise(0.2)}),
        "logistic", {},
    ),
    "added bias": (
        lambda: Phases(TASK, [64, 200], [5], batch_size=24, test_size=100, interventions={"b": AddedBias(50)}),
        "logistic", {},
    ),
    "a rule that branches": (lambda: Drawn(SingleIndex(10), batch_size=24, test_size=100), "squared", GELU),
    "stored classes": (lambda: Subset(stored("class"), 100, batch_size=24), "cross_entropy", GELU),
    "stored classes, a linear network": (lambda: Online(stored("class"), batch_size=24), "cross_entropy", {"depth": 1}),
    "stored classes, depth 3": (lambda: Online(stored("class"), batch_size=24), "cross_entropy", {"depth": 3, **GELU}),
    "weighted classes": (
        lambda: Online(stored("class"), batch_size=24), CrossEntropy([0.5, 1.0, 2.0, 1.5]), GELU
    ),
    "stored vectors": (lambda: Subset(stored("vector"), 100, batch_size=24), "squared", GELU),
    "stored numbers": (lambda: Subset(stored("number"), 100, batch_size=24), "squared", GELU),
    "stored labels": (lambda: Subset(stored("sign"), 100, batch_size=24), "hinge", GELU),
}  # fmt: skip


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("rule", [SGD(0.05, 0.5), AdamW(3e-3)], ids=["sgd", "adamw"])
def test_examples_of_every_kind(lab, fit, rule):
    data, loss, network = FITS[fit]
    native, eager = both(lab, data, network=lab.network(19, **network), loss=loss, rule=rule)
    assert_same(native, eager, rtol=1e-3, atol=1e-4)


WAITING = {
    "one epoch": lambda: AutomaticPhases(TASK, 4, 48, 300, 0.5, batch_size=24, test_size=100),
    "never learned": lambda: AutomaticPhases(TASK, 3, 48, 200, 1.0, 3, batch_size=24, test_size=100),
    "with replacement": lambda: AutomaticPhases(TASK, 3, 30, 90, 0.6, 2, "replacement", batch_size=24, test_size=100),
    "label noise": lambda: AutomaticPhases(
        TASK, 3, 48, 200, 0.5, batch_size=24, test_size=100, interventions={"noise": LabelNoise(0.2)}
    ),
    "another idea of a correct answer": lambda: AutomaticPhases(
        Lenient(20, 4), 4, 48, 300, 0.9, batch_size=24, test_size=100
    ),
}


@pytest.mark.parametrize("strategy", WAITING)
def test_strategies_that_wait_for_an_accuracy(lab, strategy):
    replicas = Replicas(4, vary={"model.optimizer.lr": [0.05, 1e18], "data.first": [30, 48]})
    native, eager = both(lab, WAITING[strategy], 60, loss="squared", replicas=replicas, rule=SGD(0.1))
    assert native.record["diverged_at"].max() > 0
    assert len({tuple(began) for began in eager.state.data["began"].tolist()}) > 1
    for name in ("phase", "step", "step_in_phase", "began"):
        assert torch.equal(native.state.data[name], eager.state.data[name])
    torch.testing.assert_close(native.state.data, eager.state.data, rtol=1e-4, atol=1e-5)
    alive = eager.record["diverged_at"] < 0
    for name, parameter in native.parameters_by_name().items():
        torch.testing.assert_close(parameter[alive], eager.parameters_by_name()[name][alive], rtol=1e-4, atol=1e-5)


class Counting(Online):
    """A strategy that says nothing about when it decides: it may at any step."""

    def initial_state(self, settings):
        return {"hits": torch.zeros(len(settings["seed"]))}

    def advance(self, settings, state, accuracy):
        return {"hits": state["hits"] + (accuracy > 0.5)}

    def indices(self, draw):
        return super().indices(draw) + draw.state["hits"].long()[:, None]


def test_a_strategy_that_may_decide_at_any_step(lab):
    native, eager = both(lab, lambda: Counting(TASK, batch_size=24, test_size=100))
    assert eager.state.data["hits"].unique().numel() > 1
    assert torch.equal(native.state.data["hits"], eager.state.data["hits"])
    assert_same(native, eager)


@pytest.mark.parametrize("fit", ["Gaussian inputs", "added bias", "stored classes", "waiting"])
def test_numbers_depend_neither_on_blocks_nor_on_threads_calls_and_interruptions(lab, fit):
    data, loss, network = (WAITING["label noise"], "logistic", {}) if fit == "waiting" else FITS[fit]
    settings = {"network": lab.network(19, **network), "loss": loss, "replicas": Replicas(6), "compile": "always"}

    def trained(calls, stop=None, **execution):
        stack = lab.stack(data(), 40, **settings, **execution)
        for start, end in pairwise((0, *calls)):
            if start == stop:
                state, stack = lab.through_a_file(stack.state_dict()), lab.stack(data(), 40, **settings)
                stack.load_state_dict(state)
            stack.train_steps(start, end - start)
        return stack.parameters_by_name()

    whole = trained((40,))
    for other in (
        trained((1, 2, 7, 40)),
        trained((40,), block_size=2, threads=2),
        trained((20, 40), threads=3),
        trained((7, 23, 40), stop=23),
    ):
        assert all(torch.equal(whole[name], other[name]) for name in whole)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": FullBatch(TASK, 512, test_size=8)},
        {"data": Population(Parity(8, 3), test_size=8)},
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


def test_gradients_are_measured_also_where_the_kernel_for_them_cannot_be_built(lab, monkeypatch):
    native_library = native.library

    def failing(name, *variant):
        if name == "mlp":
            raise native.BuildError("no space left")
        return native_library(name, *variant)

    loop, eager = both(lab, STRATEGIES["epochs"])
    monkeypatch.setattr(native, "library", failing)
    torch.testing.assert_close(loop.gradients(20, 2), eager.gradients(20, 2), rtol=1e-3, atol=1e-5)


def test_adamw_on_relu_units(lab):
    rule = AdamW(1e-3, weight_decay=0.1)
    assert_same(*both(lab, STRATEGIES["online"], network=lab.network(19), rule=rule), rtol=1e-3, atol=1e-4)
