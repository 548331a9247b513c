"""Interventions on gradients against the textbook: plain PyTorch loops of single networks."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from svl import random
from svl.data import FullBatch, Online, Subset
from svl.errors import SettingError
from svl.interventions import ClipNorm, GradientBias, PCGrad
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.groups import ParameterGroup

TASK, STEPS = Parity(8, 3), 12


def build(shape, outputs):
    return MLP(shape, outputs, width=6)


def stack_of(data, interventions, rule=None, vary=None, groups=None, steps=STEPS, compile="never"):
    data.schedule(steps, steps)
    training = TrainingSettings(
        build,
        "logistic",
        rule or SGD(0.5, 0.9),
        Replicas(2, vary=vary),
        groups or {},
        interventions=interventions,
    )
    stack = ReplicaStack(data, training, ExecutionSettings(compile=compile))
    stack.train_steps(0, steps)
    return stack


def plain(seed, gradient, optimizer=None, steps=STEPS, batch=16):
    """One network trained alone; ``gradient(network, x, y, step)`` leaves the gradients in the parameters."""
    network = initial_network(lambda: build((8,), 1), seed)
    optimizer = optimizer(network) if optimizer else torch.optim.SGD(network.parameters(), 0.5, 0.9)
    for step in range(steps):
        index = torch.arange(step * batch, (step + 1) * batch)[None]
        x, y = TASK.examples(random.key(seed)[None], index)
        optimizer.zero_grad()
        gradient(network, x[0], y[0], step)
        optimizer.step()
    return network


def loss(network, x, y):
    return F.soft_margin_loss(network(x)[:, 0], y)


def assert_equal(stack, replica, network, rtol=1e-4, atol=2e-5):
    for name, parameter in network.named_parameters():
        stacked = stack.parameters_by_name()[name][replica]
        torch.testing.assert_close(stacked, parameter.detach(), rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def test_clipping_is_torch_s_of_each_replica_alone():
    norms = [0.05, 0.3, float("inf")]
    vary = {"model.interventions.clip.max_norm": norms}
    stack = stack_of(Online(TASK, 16), {"clip": ClipNorm()}, vary=vary)
    for arm, norm in enumerate(norms):
        for seed in range(2):

            def clipped(network, x, y, step, norm=norm):
                loss(network, x, y).backward()
                clip_grad_norm_(network.parameters(), norm)

            assert_equal(stack, 2 * arm + seed, plain(seed, clipped))


def test_clipping_leaves_frozen_parameters_out():
    groups = {"first": ParameterGroup("layers.0.*", frozen=True)}
    stack = stack_of(Online(TASK, 16), {"clip": ClipNorm(0.05)}, groups=groups)

    def clipped(network, x, y, step):
        loss(network, x, y).backward()
        clip_grad_norm_(network.layers[1].parameters(), 0.05)
        for parameter in network.layers[0].parameters():
            parameter.grad = None

    assert_equal(stack, 0, plain(0, clipped))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_gradient_bias_adds_an_old_gradient(optimizer):
    rule = SGD(0.5, 0.9) if optimizer == "sgd" else AdamW(0.01)
    make = None if optimizer == "sgd" else lambda network: torch.optim.AdamW(network.parameters(), 0.01)
    vary = {"model.interventions.bias.gamma": [0.0, 0.4], "model.interventions.bias.every": [1, 5]}
    stack = stack_of(Online(TASK, 16), {"bias": GradientBias(0.1)}, rule, vary)
    arms = [(gamma, every) for gamma in (0.0, 0.4) for every in (1, 5)]
    for arm, (gamma, every) in enumerate(arms):
        old = {}

        def biased(network, x, y, step, gamma=gamma, every=every, old=old):
            loss(network, x, y).backward()
            for name, parameter in network.named_parameters():
                gradient = parameter.grad.clone()
                parameter.grad = gradient + gamma * old.get(name, 0)
                if step % every == 0:
                    old[name] = gradient

        assert_equal(stack, 2 * arm, plain(0, biased, make))


def test_the_old_gradient_survives_a_checkpoint():
    def fresh():
        data = Online(TASK, 16)
        data.schedule(STEPS, STEPS)
        bias = {"bias": GradientBias(0.5, 4)}
        return ReplicaStack(
            data,
            TrainingSettings(build, "logistic", SGD(0.5), Replicas(2), interventions=bias),
            ExecutionSettings(compile="never"),
        )

    whole, first, second = fresh(), fresh(), fresh()
    whole.train_steps(0, STEPS)
    first.train_steps(0, 6)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second.train_steps(6, STEPS - 6)
    for name, parameter in whole.parameters_by_name().items():
        assert torch.equal(parameter, second.parameters_by_name()[name])


def test_interventions_act_one_after_the_other():
    both = {"bias": GradientBias(3.0, 1), "clip": ClipNorm(0.05)}
    stack, swapped = stack_of(Online(TASK, 16), both), stack_of(Online(TASK, 16), dict(reversed(both.items())))
    old = {}

    def biased_then_clipped(network, x, y, step):
        loss(network, x, y).backward()
        for name, parameter in network.named_parameters():
            gradient = parameter.grad.clone()
            parameter.grad = gradient + 3 * old.get(name, 0)
            old[name] = gradient
        clip_grad_norm_(network.parameters(), 0.05)

    network = plain(0, biased_then_clipped)
    assert_equal(stack, 0, network)
    with pytest.raises(AssertionError):
        assert_equal(swapped, 0, network)


def test_a_full_batch_in_parts_is_clipped_as_a_whole():
    whole = stack_of(FullBatch(TASK, 64, None, 64), {"clip": ClipNorm(0.05)})
    parts = stack_of(FullBatch(TASK, 64, None, 16), {"clip": ClipNorm(0.05)})
    for name, parameter in whole.parameters_by_name().items():
        torch.testing.assert_close(parameter, parts.parameters_by_name()[name], rtol=1e-4, atol=1e-6)


# PCGrad -------------------------------------------------------------------------------------------------------------


def projected(gradients, orders):
    """Yu et al. 2020, algorithm 1, in NumPy: the mean of the projected gradients."""
    result = gradients.copy()
    for i, order in enumerate(orders):
        for j in order:
            along = result[i] @ gradients[j]
            if along < 0:
                result[i] -= along / (gradients[j] @ gradients[j]) * gradients[j]
    return result.mean(0)


@given(batch=st.integers(1, 9), size=st.integers(1, 12), seed=st.integers(0, 2**31), step=st.integers(0, 2**40))
@settings(max_examples=60)
def test_projections_are_those_of_the_loop(batch, size, seed, step):
    gradients = torch.randn(3, batch, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gradients[0, :, -1] = 0
    gradients[1, 0] = 0
    key, step = random.key(torch.tensor([seed, seed + 1, 7])), torch.tensor(step)
    combined = PCGrad().combine(gradients, key, step)
    order = PCGrad()._order(3, batch, key, step).numpy()
    for row in range(3):
        assert all(sorted([i, *order[row, i]]) == list(range(batch)) for i in range(batch))
        expected = projected(gradients[row].numpy(), order[row])
        np.testing.assert_allclose(combined[row].numpy(), expected, rtol=1e-9, atol=1e-9)


def test_orders_are_uniform_and_new_at_each_step():
    key = random.key(torch.arange(4000))
    order = PCGrad()._order(4000, 4, key, torch.tensor(3)).numpy()
    for i in range(4):
        _, counts = np.unique(order[:, i], axis=0, return_counts=True)
        assert len(counts) == 6
        assert abs(counts - 4000 / 6).max() < 4 * np.sqrt(4000 / 6)
    other = PCGrad()._order(4000, 4, key, torch.tensor(4)).numpy()
    assert 0.1 < (order == other).all(-1).mean() < 0.25


def test_gradients_that_agree_are_averaged_and_opposite_ones_vanish():
    key, step = random.key(torch.arange(1)), torch.tensor(0)
    agreeing = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    torch.testing.assert_close(PCGrad().combine(agreeing, key, step), agreeing.mean(1))
    opposite = torch.tensor([[[1.0, 0.0], [-2.0, 0.0]]])
    torch.testing.assert_close(PCGrad().combine(opposite, key, step), torch.zeros(1, 2))


def test_training_with_pcgrad_is_the_loop_s():
    stack = stack_of(Online(TASK, 16), {"pcgrad": PCGrad(), "clip": ClipNorm(1.0)})

    def project(network, x, y, step, seed=1):
        rows = []
        for one, label in zip(x, y, strict=True):
            network.zero_grad()
            loss(network, one[None], label[None]).backward()
            rows.append(torch.cat([p.grad.flatten() for p in network.parameters()]).numpy())
        order = PCGrad()._order(1, 16, random.key(seed)[None], torch.tensor(step))[0].numpy()
        combined = torch.from_numpy(projected(np.stack(rows), order))
        nn.utils.vector_to_parameters(combined, gradients := [p.grad for p in network.parameters()])
        assert len(gradients) == 4
        clip_grad_norm_(network.parameters(), 1.0)

    assert_equal(stack, 1, plain(1, project))


def test_pcgrad_needs_samples_of_their_own():
    cases = (
        ({"clip": ClipNorm(), "pc": PCGrad()}, Online(TASK, 16), "first place"),
        ({"pc": PCGrad()}, FullBatch(TASK, 64), "batches are all of one size"),
        ({"pc": PCGrad()}, Subset(TASK, 64, batch_ratio=0.1), "batches are all of one size"),
    )
    for interventions, data, words in cases:
        with pytest.raises(SettingError, match=rf"model\.interventions\.pc: got 'PCGrad'; .*{words}"):
            stack_of(data, interventions)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: ClipNorm(-1.0), "max_norm"),
        (lambda: ClipNorm(float("nan")), "max_norm"),
        (lambda: GradientBias(-0.1), "gamma"),
        (lambda: GradientBias(float("inf")), "gamma"),
        (lambda: GradientBias(0.1, 0), "every"),
    ],
)
def test_numbers_out_of_range_are_refused(make, key):
    with pytest.raises(SettingError) as error:
        make()
    assert error.value.key == key
