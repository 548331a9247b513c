"""Schedules as torch runs them, as factors on rates that differ by replica and group."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler

from svl import random
from svl.data import Online
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.optim.initialisation import initial_network
from svl.optim.schedule import factors
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.groups import ParameterGroup

STEPS = 30
WARMUP = {"warmup": lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.1, total_iters=10)}
COSINE = {"cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS)}


def test_factors_are_closed_forms():
    warmup = factors(WARMUP, STEPS)
    torch.testing.assert_close(warmup, torch.tensor([min(1, 0.1 + 0.09 * t) for t in range(STEPS)]).double())
    cosine = factors(COSINE, STEPS)
    expected = torch.tensor([(1 + math.cos(math.pi * t / STEPS)) / 2 for t in range(STEPS)], dtype=torch.float64)
    torch.testing.assert_close(cosine, expected)
    torch.testing.assert_close(factors({**WARMUP, **COSINE}, STEPS), warmup * cosine)
    constant = {"constant": lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.5, total_iters=3)}
    assert factors(constant, 5).tolist() == [0.5, 0.5, 0.5, 1, 1]
    assert factors({}, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("adaptive", [False, True])
def test_training_follows_torch_s_scheduler_at_each_replica_s_and_group_s_own_rate(adaptive):
    task, data = Parity(8, 3), Online(Parity(8, 3), batch_size=16)
    data.schedule(STEPS, STEPS)
    rule = AdamW(0.01, weight_decay=0.1) if adaptive else SGD(0.5, 0.9)
    rates = [0.01, 0.03] if adaptive else [0.1, 0.5]
    groups = {"last": ParameterGroup("layers.1.*", lr=0.02)}
    training = TrainingSettings(
        lambda shape, outputs: MLP(shape, outputs, width=6),
        "logistic",
        rule,
        Replicas(1, vary={"model.optimizer.lr": rates}),
        groups,
        schedules={**WARMUP, **COSINE},
    )
    stack = ReplicaStack(data, training, ExecutionSettings(compile="never"))
    stack.train_steps(0, 11)
    stack.train_steps(11, STEPS - 11)
    for replica, rate in enumerate(rates):
        network = initial_network(lambda: MLP((8,), 1, width=6), 0)
        first, last = (layer.parameters() for layer in network.layers)
        parts = [{"params": first, "lr": rate}, {"params": last, "lr": 0.02}]
        optimizer = torch.optim.AdamW(parts, weight_decay=0.1) if adaptive else torch.optim.SGD(parts, momentum=0.9)
        chained = lr_scheduler.ChainedScheduler([make(optimizer) for make in (*WARMUP.values(), *COSINE.values())])
        for step in range(STEPS):
            x, y = task.examples(random.key(0)[None], torch.arange(16 * step, 16 * step + 16)[None])
            optimizer.zero_grad()
            F.soft_margin_loss(network(x[0])[:, 0], y[0]).backward()
            optimizer.step()
            chained.step()
        for name, parameter in network.named_parameters():
            stacked = stack.parameters_by_name()[name][replica]
            torch.testing.assert_close(stacked, parameter.detach(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lr_scheduler.ReduceLROnPlateau, "depends on the step alone"),
        (lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 1.0, 10, cycle_momentum=False), "last for 30 steps"),
        (lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=40), "rates alone"),
        (lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer), "a scheduler that can be built"),
        (lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: -1.0), "at least 0"),
    ],
)
def test_schedules_that_cannot_be_followed_are_refused(make, words):
    with pytest.raises(SettingError, match=rf"model\.schedules\.mine: got .*; allowed: .*{words}"):
        factors({"mine": make}, STEPS)
