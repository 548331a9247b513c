"""Parameter groups that take their gradients from batches of another strategy."""

import pytest
import torch
from torch.nn import functional as F

from svl import random
from svl.data import AutomaticPhases, FullBatch, Online, Phases, Subset, TwoSets
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.interventions import LabelNoise, PCGrad
from svl.models import MLP
from svl.optim import SGD
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.groups import ParameterGroup

TASK = Parity(8, 3)
FIRST = {"first": ParameterGroup("layers.0.*", stream="fresh")}


def online(batch_size=16, **settings):
    return lambda task: Online(task, batch_size, **settings)


def stack_of(data, groups=None, vary=None, steps=20, train=None, rule=None, **settings):
    data.schedule(steps, steps)
    training = TrainingSettings(
        lambda shape, outputs: MLP(shape, outputs, width=6, depth=3),
        "logistic",
        rule or SGD(0.5),
        Replicas(2, vary=vary),
        FIRST if groups is None else groups,
        **settings,
    )
    stack = ReplicaStack(data, training, ExecutionSettings(compile="never"))
    stack.train_steps(0, steps if train is None else train)
    return stack


def moved(stack, before):
    """Which parameters differ, by layer."""
    now = stack.parameters_by_name()
    return {name for name in now if not torch.equal(now[name], before.parameters_by_name()[name])}


def test_training_is_that_of_a_loop_with_two_batches():
    small = {"reuse": "replacement", "batch_size": 32}
    stack = stack_of(Subset(TASK, 40, streams={"fresh": online()}, **small))
    index = Subset(TASK, 40, **small)
    index.schedule(20, 20)
    numbers = index.settings_of(Replicas(2))
    for seed in range(2):
        network = initial_network(lambda: MLP((8,), 1, width=6, depth=3), seed)
        key = random.key(seed)[None]
        for step in range(20):
            start = 40 + 16 * step  # behind the small set
            reused = index.indices(
                Draw(numbers, {}, random.key(torch.arange(2)), torch.tensor(step), torch.tensor(0), 32)
            )
            gradients = []
            for chosen in (reused[seed], torch.arange(start, start + 16)):
                x, y = TASK.examples(key, chosen[None])
                loss = F.soft_margin_loss(network(x[0])[:, 0], y[0])
                gradients.append(torch.autograd.grad(loss, list(network.parameters())))
            with torch.no_grad():
                for number, parameter in enumerate(network.parameters()):
                    parameter -= 0.5 * gradients[1 if number < 2 else 0][number]
        for name, parameter in network.named_parameters():
            stacked = stack.parameters_by_name()[name][seed]
            torch.testing.assert_close(stacked, parameter.detach(), rtol=1e-4, atol=2e-5)
    assert stack.record["samples"].tolist() == [20 * (32 + 16)] * 2


def test_a_parameter_does_not_change_when_the_other_stream_s_data_do():
    """Of one step, since later ones see the other parameters."""
    noisy = {"noise": LabelNoise(1.0)}
    one = stack_of(Subset(TASK, 40, batch_size=32, streams={"fresh": online()}), train=1)
    other_stream = stack_of(Subset(TASK, 40, batch_size=32, streams={"fresh": online(interventions=noisy)}), train=1)
    assert moved(other_stream, one) == {"layers.0.weight", "layers.0.bias"}
    other_main = stack_of(Subset(TASK, 40, batch_size=32, interventions=noisy, streams={"fresh": online()}), train=1)
    assert moved(other_main, one) == {f"layers.{i}.{part}" for i in (1, 2) for part in ("weight", "bias")}


def test_every_parameter_may_be_on_another_stream():
    everything = {"all": ParameterGroup("*", stream="fresh")}
    stack = stack_of(Subset(TASK, 40, batch_size=8, streams={"fresh": online()}), everything)
    plain = stack_of(TwoSets(TASK, 40, 0.0, batch_size=16), {})  # fresh data behind the first 40
    for name, parameter in plain.parameters_by_name().items():
        torch.testing.assert_close(stack.parameters_by_name()[name], parameter, rtol=1e-5, atol=1e-7)


def test_settings_of_a_stream_vary_by_replica():
    data = Phases(TASK, [16, "online"], [8], batch_size=16, streams={"fresh": lambda task: Subset(task, 20)})
    together = stack_of(data, vary={"data.streams.fresh.size": [20, 200]})
    for arm, size in enumerate((20, 200)):
        streams = {"fresh": lambda task, size=size: Subset(task, size)}
        alone = stack_of(Phases(TASK, [16, "online"], [8], batch_size=16, streams=streams))
        for name, parameter in alone.parameters_by_name().items():
            both = together.parameters_by_name()[name][2 * arm : 2 * arm + 2]
            torch.testing.assert_close(both, parameter, rtol=1e-5, atol=1e-7)
    assert "data.streams.fresh.size" in data.variable_settings


def test_fresh_data_of_a_stream_begin_behind_the_sets_of_all(rule):
    vary = {"data.size": [40, 200]}
    one = rule(
        Subset(TASK, 40, batch_size=32, streams={"fresh": online(), "other": lambda t: Subset(t, 90)}), vary=vary
    )
    x, _, _ = one.data.stream_batch("fresh", one.draw(2))
    for row, first in enumerate((90, 200)):
        expected, _ = TASK.examples(one.key[row : row + 1], torch.arange(first + 32, first + 48)[None])
        assert torch.equal(x[row], expected[0])


def test_what_makes_no_sense_is_refused():
    def refused(key, make, words=""):
        with pytest.raises(SettingError) as error:
            make()
        assert error.value.key == key
        assert words in error.value.allowed

    streams = {"fresh": online()}
    wrong = {"first": ParameterGroup("layers.0.*", stream="frseh")}
    refused("model.groups.first.stream", lambda: stack_of(Subset(TASK, 40, streams=streams), wrong), "mean 'fresh'")
    refused("model.groups.first.stream", lambda: stack_of(Subset(TASK, 40)), "no data.streams")
    refused("data.streams.fresh", lambda: stack_of(Subset(TASK, 40, streams=streams), {}), "model.groups")
    slow = {"fresh": lambda task: AutomaticPhases(task, 2, 8, 16)}
    refused("data.streams.fresh", lambda: stack_of(Subset(TASK, 40, streams=slow)), "accuracy")
    large = {"fresh": lambda task: FullBatch(task, 200, None, 64)}
    refused("data.streams.fresh", lambda: stack_of(Subset(TASK, 40, streams=large)), "one batch")
    refused("data.streams.fresh", lambda: stack_of(FullBatch(TASK, 200, None, 64, streams=streams)), "one batch")
    nested = {"fresh": lambda task: Online(task, streams={"more": online()})}
    refused("streams.fresh.streams", lambda: Subset(TASK, 40, streams=nested), "has no streams")
    sizes = {"data.streams.fresh.size": [20, -3]}
    small = {"fresh": lambda task: Subset(task, 20)}
    refused("data.streams.fresh.size", lambda: stack_of(Subset(TASK, 40, streams=small), vary=sizes))
    refused("streams.fresh.batch_size", lambda: Subset(TASK, 40, streams={"fresh": online(0)}))
    pcgrad = {"pc": PCGrad()}
    refused("model.interventions.pc", lambda: stack_of(Subset(TASK, 40, streams=streams), interventions=pcgrad))
