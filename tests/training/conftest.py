import io
from collections.abc import Callable, Iterable
from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svl import random
from svl.data import Online, ReuseDataModule
from svl.models import MLP
from svl.optim import SGD
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

EXECUTION = [field.name for field in fields(ExecutionSettings)]

# PyTorch's own losses and closed forms, not those of the package.
PLAIN_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logistic": lambda f, y: F.soft_margin_loss(f, y),
    "hinge": lambda f, y: F.margin_ranking_loss(f, torch.zeros_like(f), y, margin=1.0),
    "squared": lambda f, y: F.mse_loss(f, y),
    "correlation": lambda f, y: -(f * y).mean(),
}


def make_network(width: int = 12, **settings) -> Callable[[tuple[int, ...], int], nn.Module]:
    return lambda input_shape, output_dim: MLP(input_shape, output_dim, width=width, **settings)


def make_stack(
    data: ReuseDataModule | None = None, steps: int = 200, network=None, loss="logistic", rule=None, **settings
):
    data = data or Online(Parity(10, 3), batch_size=32, test_size=100)
    data.schedule(steps, steps)
    how = {"compile": "never"} | {name: settings.pop(name) for name in EXECUTION if name in settings}
    what = {"replicas": Replicas(3), "optimizer": rule or SGD(lr=0.3, momentum=0.9), **settings}
    training = TrainingSettings(network or make_network(), loss, **what)
    return ReplicaStack(data, training, ExecutionSettings(**how))


def plain_network(task, seed: int, network=None, init="pytorch") -> nn.Module:
    build = network or make_network()
    tokens = {} if task.vocabulary is None else {"vocabulary": task.vocabulary}
    return initial_network(lambda: build(task.input_shape, task.output_dim, **tokens), seed, init)


def plain_examples(task, seed: int, index: Iterable[int], split: str = "train") -> tuple[Tensor, Tensor]:
    """Examples of one replica, without a replica axis."""
    first = {"train": 0, "test": 2**62}[split]
    x, y = task.examples(random.key(seed)[None], first + torch.tensor(list(index))[None])
    return x[0], y[0]


def plain_loop(
    network: nn.Module, optimizer: torch.optim.Optimizer, loss: str, batches: Iterable[tuple[Tensor, Tensor]]
):
    """The textbook loop with autograd; returns each batch's loss and accuracy before its step."""
    losses, accuracies = [], []
    for x, y in batches:
        outputs = network(x).squeeze(-1)
        value = PLAIN_LOSSES[loss](outputs, y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        accuracies.append((outputs.sign() == y).float().mean().item())
    return losses, accuracies


def assert_replica_is(stack: ReplicaStack, replica: int, network: nn.Module, rtol=1e-4, atol=2e-5) -> None:
    for name, parameter in network.named_parameters():
        stacked = stack.parameters_by_name()[name][replica]
        torch.testing.assert_close(stacked, parameter.detach(), rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Matrices this small gain nothing from a second core, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def lab():
    """What the tests of this folder build stacks and plain runs with."""
    return SimpleNamespace(
        network=make_network,
        stack=make_stack,
        replicas=Replicas,
        plain_network=plain_network,
        examples=plain_examples,
        loop=plain_loop,
        losses=PLAIN_LOSSES,
        assert_replica_is=assert_replica_is,
        through_a_file=through_a_file,
    )
