"""Batches in proportion to the pool."""

import numpy as np
import pytest
import torch

from svl.data import AutomaticPhases, Axis, FullBatch, Online, Phases, Subset, TwoSets, Zipf
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Facts, InContextRegression, Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

TASK = Parity(20, 6)
FACTS = Facts(20, objective="answer")


def test_a_batch_has_so_many_examples_for_each_of_the_pool(rule):
    vary = {"data.size": [100, 200, "online"]}
    one = rule(Subset(TASK, 100, batch_size=64, batch_ratio=0.2), vary=vary)
    _, _, weights = one.batch(3)
    for row, size in zip(weights, (20, 40, 64), strict=True):
        assert row[:size].tolist() == [pytest.approx(1 / size)] * size
        assert row[size:].sum() == 0
    assert one.data.samples(one.settings, {}, 3, 7).tolist() == [140, 280, 448]


def test_epochs_still_have_every_example_once(rule):
    one = rule(Subset(TASK, 100, batch_size=64, batch_ratio=0.2), seeds=2)
    epoch = np.concatenate([one.at(step)[:, :20].numpy() for step in range(5)], 1)
    assert all(sorted(row) == list(range(100)) for row in epoch)
    assert not np.array_equal(epoch[0], epoch[1])


def drawn(size, batch_size):
    return Subset(TASK, size, "replacement", batch_size=batch_size)


@pytest.mark.slow
def test_a_replica_learns_as_with_that_batch_size():
    def parameters(data):
        data.schedule(30, 30)
        build = lambda shape, outputs: MLP(shape, outputs, width=6)  # noqa: E731
        stack = ReplicaStack(
            data, TrainingSettings(build, "logistic", SGD(0.5), Replicas(2)), ExecutionSettings(compile="never")
        )
        stack.train_steps(0, 30)
        return stack.parameters_by_name()

    for ratio, plain in (
        (Subset(TASK, 100, batch_size=64, batch_ratio=0.2), Subset(TASK, 100, batch_size=20)),
        (
            Subset(TASK, 90, "replacement", batch_size=64, batch_ratio=0.1),
            Subset(TASK, 90, "replacement", batch_size=9),
        ),
        (TwoSets(TASK, 50, batch_size=32, batch_ratio=0.3), TwoSets(TASK, 50, batch_size=15)),
        (Zipf(TASK, 60, batch_size=64, batch_ratio=0.5), Zipf(TASK, 60, batch_size=30)),
    ):
        torch.testing.assert_close(parameters(ratio), parameters(plain), rtol=1e-4, atol=1e-6)


def test_the_pool_is_that_of_the_axis_where_there_is_one(rule):
    vary = {"data.axes.context.size": [4, 8, "online"]}
    context = {"context": Axis(4)}
    points = rule(Online(InContextRegression(2, 3), 16, axes=context, batch_ratio=1.5), vary=vary)
    assert points.settings["batch"].tolist() == [6, 12, 16]
    fresh = np.concatenate([points.at(step)[0, :6].numpy() for step in range(3)])
    assert fresh.tolist() == list(range(18))
    subjects = {"subject": Axis("population")}
    vary = {"data.axes.subject.size": [10, "population"]}
    facts = rule(Online(Facts(20), 16, axes=subjects, batch_ratio=0.5), vary=vary)
    assert facts.settings["batch"].tolist() == [5, 10]
    # An axis that is varied needs no entry of its own.
    varied = rule(Online(Facts(20), 16, batch_ratio=0.5), vary=vary)
    assert varied.settings["batch"].tolist() == [5, 10]


def test_ratios_vary_by_replica_and_null_is_the_whole_batch(rule):
    one = rule(Subset(TASK, 100, batch_size=64), vary={"data.batch_ratio": [None, 0.1, 0.005]})
    assert one.settings["batch"].tolist() == [64, 10, 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rule: rule(Subset(TASK, 100), vary={"data.batch_ratio": [0.1, "x"]}), "a number"),
        (lambda rule: rule(Subset(TASK, 100), vary={"data.batch_ratio": [0.1, 0.0]}), "above 0"),
        (lambda rule: rule(Online(TASK, batch_ratio=0.5)), "one fixed pool"),
        (lambda rule: rule(Zipf(TASK, 640, 1.0, "batches", batch_size=64, batch_ratio=0.5)), "whole batches"),
        (
            lambda rule: rule(AutomaticPhases(FACTS, 2, 64, 128, axes={"subject": Axis(5)}, batch_ratio=3.2)),
            "one fixed pool",
        ),
        (lambda rule: rule(Subset(TASK, 100, batch_size=16, batch_ratio=0.5)), "at most batch_size / k = 0.16"),
        (lambda rule: rule(FullBatch(TASK, 100, batch_ratio=0.5)), "one batch per step"),
        (lambda rule: rule(Phases(TASK, [100, 200], [3], batch_ratio=0.5)), "one fixed pool"),
        (
            lambda rule: rule(Online(Facts(20), axes={"subject": Axis([5, 10], [3])}, batch_ratio=0.5)),
            "one fixed pool",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(rule, make, words):
    with pytest.raises(SettingError) as error:
        make(rule)
    assert error.value.key == "data.batch_ratio"
    assert words in error.value.allowed


@pytest.mark.parametrize(("ratio", "words"), [(-1.0, "at least 0"), (0.0, "above 0")])
def test_a_ratio_that_is_not_above_0_is_refused(ratio, words):
    with pytest.raises(SettingError) as error:
        Subset(TASK, 100, batch_ratio=ratio)
    assert error.value.key == "batch_ratio"
    assert words in error.value.allowed
