"""A replica equals the same network trained alone, by a plain PyTorch loop, with the same key."""

import pytest
import torch

from svl.data import Online, Subset
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ParameterGroup

STEPS, BATCH = 80, 32


def fresh(lab, task, seed):
    """Batch t is examples t B ... t B + B - 1."""
    x, y = lab.examples(task, seed, range(STEPS * BATCH))
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


def adamw(parameters, lr=3e-3, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1):
    return torch.optim.AdamW(parameters, lr, (beta1, beta2), eps, weight_decay)


# Each loss and each activation with either optimizer; the rates are such that training moves and stays finite.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "loss", "depth", "activation", "lr"),
    [
        ("SGD", "logistic", 2, "relu", 0.1),
        ("SGD", "hinge", 3, "gelu", 0.1),
        ("SGD", "squared", 2, "quadratic", 0.01),
        ("SGD", "correlation", 3, "sigmoid", 0.02),
        ("AdamW", "logistic", 3, "sigmoid", 3e-3),
        ("AdamW", "hinge", 2, "quadratic", 3e-3),
        ("AdamW", "squared", 3, "relu", 3e-3),
        ("AdamW", "correlation", 2, "gelu", 3e-3),
    ],
)
def test_every_loss_and_activation(lab, optimizer, loss, depth, activation, lr):
    task, network = Parity(10, 3, "drawn"), lab.network(depth=depth, activation=activation)
    rules = {"SGD": SGD(lr, momentum=0.8, weight_decay=1e-3), "AdamW": AdamW(lr, beta2=0.99, weight_decay=0.1)}
    stack = lab.stack(Online(task, BATCH), STEPS, network, loss, rules[optimizer], replicas=Replicas(2, first_seed=5))
    stack.train_steps(0, STEPS)
    metrics = stack.train_metrics()
    for replica, seed in enumerate([5, 6]):
        plain = lab.plain_network(task, seed, network)
        before = [p.detach().clone() for p in plain.parameters()]
        if optimizer == "SGD":
            torch_optimizer = torch.optim.SGD(plain.parameters(), lr, momentum=0.8, weight_decay=1e-3)
        else:
            torch_optimizer = adamw(plain.parameters(), lr)
        losses, accuracies = lab.loop(plain, torch_optimizer, loss, fresh(lab, task, seed))
        moved = max((p - q).abs().max().item() for p, q in zip(plain.parameters(), before, strict=True))
        assert moved > 0.05
        lab.assert_replica_is(stack, replica, plain)
        assert metrics["train/loss"][replica] == pytest.approx(sum(losses) / STEPS, rel=1e-4)
        assert metrics["train/accuracy"][replica] == pytest.approx(sum(accuracies) / STEPS, abs=1e-3)


@pytest.mark.slow
def test_arms_that_vary_size_rate_and_momentum(lab):
    # With N = 32 or 16 and a batch of 32 an epoch is a batch or half of one, so its order matters by rounding alone.
    task = Parity(10, 2)
    vary = {"data.size": [16, 32, "online"], "model.optimizer.lr": [0.05, 0.4], "model.optimizer.momentum": [0, 0.9]}
    stack = lab.stack(
        Subset(task, batch_size=BATCH),
        STEPS,
        rule=SGD(weight_decay=1e-3),
        replicas=Replicas(1, first_seed=4, vary=vary),
        init="gaussian",
    )
    stack.train_steps(0, STEPS)
    arms = [(size, lr, momentum) for size in (16, 32, "online") for lr in (0.05, 0.4) for momentum in (0, 0.9)]
    for arm, (size, lr, momentum) in enumerate(arms):
        plain = lab.plain_network(task, 4, init="gaussian")
        optimizer = torch.optim.SGD(plain.parameters(), lr, momentum=momentum, weight_decay=1e-3)
        batches = fresh(lab, task, 4) if size == "online" else [lab.examples(task, 4, range(size))] * STEPS
        lab.loop(plain, optimizer, "logistic", batches)
        lab.assert_replica_is(stack, arm, plain)


@pytest.mark.slow
def test_arms_that_vary_numbers_of_adamw(lab):
    task, values = Parity(10, 3), {"lr": [1e-3, 1e-2], "beta2": [0.9, 0.999], "eps": [1e-8, 1e-3]}
    vary = {f"model.optimizer.{name}": values[name] for name in values}
    replicas = Replicas(1, first_seed=3, vary=vary)
    stack = lab.stack(Online(task, BATCH), STEPS, rule=AdamW(beta1=0.7, weight_decay=0.5), replicas=replicas)
    stack.train_steps(0, STEPS)
    assert len(replicas.arms) == 8
    for replica, arm in enumerate(replicas.arms):
        plain = lab.plain_network(task, 3)
        varied = {name: arm[f"model.optimizer.{name}"] for name in values}
        optimizer = adamw(plain.parameters(), beta1=0.7, weight_decay=0.5, **varied)
        lab.loop(plain, optimizer, "logistic", fresh(lab, task, 3))
        lab.assert_replica_is(stack, replica, plain)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_parameter_groups(lab, optimizer):
    task, network = Parity(10, 3), lab.network(depth=3)
    base = {"SGD": {"lr": 0.2, "weight_decay": 1e-3}, "AdamW": {"lr": 3e-3, "weight_decay": 0.1}}[optimizer]
    rule = {"SGD": SGD, "AdamW": AdamW}[optimizer](**base)
    groups = {
        "input": ParameterGroup("layers.0.*", lr=base["lr"] / 10, scale=0.5),
        "middle": ParameterGroup(["layers.1.weight", "layers.1.bias"], weight_decay=0.3, scale=-2.0),
        "offset": ParameterGroup("*.2.bias", frozen=True),
    }
    vary = {"model.groups.input.lr": [None, base["lr"] / 10], "model.groups.middle.frozen": [False, True]}
    replicas = Replicas(1, vary=vary)
    stack = lab.stack(Online(task, BATCH), STEPS, network, rule=rule, replicas=replicas, groups=groups)
    stack.train_steps(0, STEPS)
    for replica, arm in enumerate(replicas.arms):
        plain = lab.plain_network(task, 0, network)
        first, middle, last = plain.layers
        with torch.no_grad():
            for layer, scale in ((first, 0.5), (middle, -2.0)):
                layer.weight.mul_(scale), layer.bias.mul_(scale)
        middle.requires_grad_(not arm["model.groups.middle.frozen"])
        last.bias.requires_grad_(False)
        own_lr = arm["model.groups.input.lr"] or base["lr"]
        options = [
            {"params": first.parameters(), "lr": own_lr},
            {"params": middle.parameters(), "weight_decay": 0.3},
            {"params": last.parameters()},
        ]
        lab.loop(plain, getattr(torch.optim, optimizer)(options, **base), "logistic", fresh(lab, task, 0))
        lab.assert_replica_is(stack, replica, plain)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "reuse"), [(SGD(0.3, momentum=0.9), "epochs"), (AdamW(1e-2), "replacement")])
def test_a_stack_of_one_equals_its_part_in_a_stack_of_many(lab, rule, reuse):
    steps, vary = 60, {"data.size": [50, 200, "online"]}
    data = Subset(Parity(10, 3), reuse=reuse, batch_size=BATCH, test_size=100)
    many = lab.stack(data, steps, rule=rule, replicas=Replicas(2, first_seed=7, vary=vary))
    many.train_steps(0, steps)
    together = many.evaluate()
    for replica, size, seed in ((0, 50, 7), (3, 200, 8), (4, "online", 7)):
        alone = Subset(Parity(10, 3), size, reuse, batch_size=BATCH, test_size=100)
        one = lab.stack(alone, steps, rule=rule, replicas=Replicas(1, first_seed=seed))
        one.train_steps(0, steps)
        for name, parameter in one.parameters_by_name().items():
            torch.testing.assert_close(many.parameters_by_name()[name][replica], parameter[0], rtol=1e-4, atol=2e-5)
        for name, value in one.evaluate().items():
            torch.testing.assert_close(together[name][replica], value[0], rtol=1e-4, atol=1e-4)
