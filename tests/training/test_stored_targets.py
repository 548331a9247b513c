"""Stored data of every kind of target: each replica is trained as by a plain loop with PyTorch's own losses."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from svl import random
from svl.data import Online
from svl.errors import SettingError
from svl.losses import CrossEntropy
from svl.models import Transformer
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Dataset, ModularAddition

STEPS, BATCH, LR, COUNT = 4, 12, 0.3, 80
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(COUNT, 6)).astype(np.float32)
RARE = 2 * (np.arange(COUNT) % 8 == 0) + (np.arange(COUNT) % 4 == 1)
TOKENS = GENERATOR.integers(0, 7, (COUNT, 6))
MASKED = np.where(GENERATOR.random((COUNT, 5)) < 0.4, -100, TOKENS[:, 1:])
MASKED[:, 2] = TOKENS[:, 3]


def transformer(input_shape, output_dim, vocabulary):
    return Transformer(input_shape, output_dim, vocabulary, width=8, depth=1, heads=2, readout="all")


def masked_mean(outputs, targets):
    """The mean over examples of each example's mean over the positions that have a target."""
    each = F.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=-100, reduction="none")
    return (each.sum(1) / (targets != -100).sum(1)).mean()


def balanced(outputs, targets, task):
    labels = task.population(random.key(torch.zeros(1, dtype=torch.int64)), torch.arange(task.train_size)[None])[1][0]
    weights = torch.tensor(
        compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy()), dtype=torch.float32
    )
    return (weights[targets] * F.cross_entropy(outputs, targets, reduction="none")).mean()


def listed(outputs, targets):
    weights = torch.tensor([0.5, 1.0, 3.0])
    # PyTorch's mean divides by the weights of the batch.
    return F.cross_entropy(outputs, targets, weights) * weights[targets].mean()


TASKS = {
    "vectors": (Dataset((X, X[:, :2] ** 2)), "squared", F.mse_loss),
    "signs": (
        Dataset((X, RARE > 0), target_kind="sign"),
        "logistic",
        lambda outputs, targets: F.soft_margin_loss(outputs[:, 0], targets),
    ),
    "hinge": (
        Dataset((X, np.where(RARE > 0, 1, -1)), target_kind="sign"),
        "hinge",
        lambda outputs, targets: F.relu(1 - outputs[:, 0] * targets).mean(),
    ),
    "next tokens": (
        Dataset((TOKENS[:, :-1], TOKENS[:, 1:]), vocabulary=7),
        "cross_entropy",
        lambda outputs, targets: F.cross_entropy(outputs.flatten(0, 1), targets.flatten()),
    ),
    "masked tokens": (Dataset((TOKENS[:, :-1], MASKED), vocabulary=7), "cross_entropy", masked_mean),
    "balanced": (Dataset((X, RARE)), CrossEntropy("balanced"), None),
    "weights": (Dataset((X, RARE)), CrossEntropy([0.5, 1, 3]), listed),
}


@pytest.mark.parametrize(
    ("name", "compile"),
    [
        *((name, "never") for name in TASKS),
        *(pytest.param(name, "always", marks=pytest.mark.slow) for name in ("vectors", "masked tokens", "weights")),
    ],
)
def test_each_replica_is_trained_as_by_a_plain_loop(lab, name, compile):
    task, loss, oracle = TASKS[name]
    if oracle is None:

        def oracle(outputs, targets):
            return balanced(outputs, targets, task)

    network = transformer if task.vocabulary else None
    data = Online(task, batch_size=BATCH)
    stack = lab.stack(data, STEPS, network=network, loss=loss, rule=SGD(LR), replicas=Replicas(2), compile=compile)
    stack.train_steps(0, STEPS)
    tests = stack.evaluate()
    for replica in range(2):
        plain = lab.plain_network(task, replica, network)
        optimizer = torch.optim.SGD(plain.parameters(), LR)
        for step in range(STEPS):
            x, y = lab.examples(task, replica, range(step * BATCH, (step + 1) * BATCH))
            optimizer.zero_grad()
            oracle(plain(x), y).backward()
            optimizer.step()
        lab.assert_replica_is(stack, replica, plain)
        x, y = (part[0] for part in task.test_examples(random.key(0)[None], torch.arange(task.test_size)[None]))
        outputs = plain(x).detach()
        assert tests["val/loss"][replica] == pytest.approx(oracle(outputs, y).item(), rel=1e-4)
        if task.target == "vector":
            assert "val/accuracy" not in tests
        elif name == "masked tokens":
            shares = [(o.argmax(-1)[t >= 0] == t[t >= 0]).float().mean() for o, t in zip(outputs, y, strict=True)]
            assert tests["val/accuracy"][replica] == pytest.approx(float(np.mean(shares)))
        else:
            answers = outputs[:, 0].sign() if task.target == "sign" else outputs.argmax(-1)
            assert tests["val/accuracy"][replica] == pytest.approx((answers == y).float().mean().item())
        if task.per_position:
            perplexity = tests["val/loss"][replica].exp()
            assert tests["val/perplexity"][replica] == pytest.approx(perplexity.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "task", "message"),
    [
        ([1.0, 2.0], Dataset((X, RARE)), r"class_weights: got \[1.0, 2.0\]; allowed: 3 weights, one for each class"),
        ("balanced", ModularAddition(5), "class_weights: got 'balanced'; .*ModularAddition does not count"),
    ],
)
def test_weights_that_do_not_suit_the_task_are_refused(lab, weights, task, message):
    def build(*shape, **tokens):
        return Transformer(*shape, **tokens, width=8, depth=1, heads=2) if tokens else lab.network()(*shape)

    with pytest.raises(SettingError, match=f"^model.loss.{message}"):
        lab.stack(Online(task, batch_size=5), STEPS, network=build, loss=CrossEntropy(weights))


@pytest.mark.parametrize("weights", [[], [-1.0, 1.0], [float("nan")], [float("inf")]])
def test_weights_are_numbers(weights):
    with pytest.raises(SettingError, match=r"class_weights: .*a list of numbers, at least 0; balanced; or null"):
        CrossEntropy(weights)


@pytest.mark.parametrize(
    ("task", "loss", "allowed"),
    [
        (Dataset((X, RARE > 0)), "logistic", "; or data.task.target_kind: sign, which gives targets for logistic"),
        (Dataset((X, RARE > 0)), "squared", "; or data.task.target_kind: number, which gives targets for squared"),
        (Dataset((X, RARE)), "hinge", "cross_entropy (for Dataset), since targets are classes numbered from 0"),
        (Dataset((X, X[:, 0])), "logistic", "squared, correlation (for Dataset), since targets are real numbers"),
        (Dataset((X, X)), "correlation", "squared (for Dataset), since targets are rows of real numbers"),
        (Dataset((X, (RARE > 0) * 2.0 - 1)), "hinge", "; or data.task.target_kind: sign"),
        (
            Dataset((TOKENS[:, :-1], MASKED), vocabulary=7),
            "squared",
            "cross_entropy (for Dataset), since targets are classes numbered from 0 at every position",
        ),
    ],
)
def test_a_loss_that_does_not_fit_names_those_that_do_and_the_setting(lab, task, loss, allowed):
    with pytest.raises(SettingError) as error:
        lab.stack(Online(task, batch_size=5), network=transformer if task.vocabulary else None, loss=loss)
    assert error.value.key == "model.loss"
    assert error.value.allowed.endswith(allowed) or (allowed[0] == ";" and allowed in error.value.allowed)
