"""A loss of one's own: the stack trains with it as a plain loop with PyTorch's function does."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from svl.data import Online
from svl.errors import SettingError
from svl.losses import Loss, Squared
from svl.models import Transformer
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import InContextRegression, LinearRegression, ModularAddition, Parity

STEPS, BATCH, LR, DELTA = 8, 32, 0.3, 0.7


class Huber(Loss):
    """e^2 / 2 for an error |e| <= delta, else delta (|e| - delta / 2)."""

    targets = frozenset({"sign", "number"})

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def each(self, outputs, targets):
        error = (outputs[..., 0] - targets).abs()
        return torch.where(error <= self.delta, error.square() / 2, self.delta * (error - self.delta / 2))


class Doubled(Squared):
    """2 (f - y)^2, for which the kernels' squared loss would be wrong."""

    def each(self, outputs, targets):
        return 2 * super().each(outputs, targets)


def plain_run(lab, task, seed, mean_loss):
    """Textbook SGD; the network, its losses before each step, and its test loss."""
    network, losses = lab.plain_network(task, seed), []
    optimizer = torch.optim.SGD(network.parameters(), LR)
    for step in range(STEPS):
        x, y = lab.examples(task, seed, range(step * BATCH, (step + 1) * BATCH))
        loss = mean_loss(network(x).squeeze(-1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    x, y = lab.examples(task, seed, range(50), "test")
    return network, losses, mean_loss(network(x).squeeze(-1), y).item()


def huber(outputs, targets):
    return F.huber_loss(outputs, targets, delta=DELTA)


@pytest.mark.slow
@pytest.mark.parametrize("compile", ["never", "always"])
@pytest.mark.parametrize(
    ("task", "loss", "oracle"),
    [
        (Parity(10, 3), Huber(DELTA), huber),
        (LinearRegression(6, noise=0.5), Huber(DELTA), huber),
        (Parity(10, 3), Doubled(), lambda outputs, targets: 2 * F.mse_loss(outputs, targets)),
    ],
)
def test_each_replica_is_trained_as_by_a_plain_loop(lab, task, loss, oracle, compile):
    data = Online(task, batch_size=BATCH, test_size=50)
    stack = lab.stack(data, STEPS, loss=loss, rule=SGD(LR), replicas=Replicas(2), compile=compile)
    stack.train_steps(0, STEPS)
    train, test = stack.train_metrics()["train/loss"], stack.evaluate()["val/loss"]
    for replica in range(2):
        network, losses, test_loss = plain_run(lab, task, replica, oracle)
        lab.assert_replica_is(stack, replica, network)
        assert train[replica] == pytest.approx(sum(losses) / STEPS, rel=1e-4)
        assert test[replica] == pytest.approx(test_loss, rel=1e-4)


@pytest.mark.parametrize(
    ("task", "network", "allowed"),
    [
        (ModularAddition(5), None, "cross_entropy (for ModularAddition)"),
        (
            InContextRegression(2, 3, objective="prefixes"),
            {"readout": "all"},
            "squared (for InContextRegression)",
        ),
    ],
)
def test_targets_that_it_cannot_take_are_refused_with_the_losses_that_fit(lab, task, network, allowed):
    def build(*shape, **tokens):
        return Transformer(*shape, **tokens, **(network or {}), width=8, depth=1, heads=2)

    with pytest.raises(SettingError) as caught:
        lab.stack(Online(task), network=build, loss=Huber())
    assert (caught.value.key, caught.value.given) == ("model.loss", "Huber")
    assert caught.value.allowed.startswith(f"{allowed}, since targets are ")


def test_reference_predictors_are_measured_in_their_own_loss_only(lab):
    stacks = {
        loss: lab.stack(Online(LinearRegression(4)), loss=loss, rule=SGD(0.1)) for loss in ("squared", "correlation")
    }
    assert set(stacks["squared"].references()) == {"reference/bayes"}
    assert stacks["correlation"].references() == {}
    assert lab.stack(Online(LinearRegression(4)), loss=Huber(), rule=SGD(0.1)).references() == {}


CONFIG = """
replicas: {seeds: 2}
data:
  class_path: Online
  init_args: {task: {class_path: Parity, init_args: {dim: 10, degree: 3}}, batch_size: 32, test_size: 50}
model:
  network: {class_path: MLP, init_args: {width: 12}}
  loss: {class_path: own_loss.Huber, init_args: {delta: 0.7}}
  optimizer: {class_path: SGD, init_args: {lr: 0.3}}
trainer: {max_steps: 8, log_every_n_steps: 8, enable_progress_bar: false}
wandb: {mode: disabled}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with this file as a module of the user's own, and a config that names its loss."""
    (tmp_path / "own_loss.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (tmp_path / "huber.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_config_names_it_by_its_import_path(lab, svl, folder):
    done = svl(folder, "fit", "--config", "huber.yaml")
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    last = history[history["step"] == STEPS].sort_values("seed")
    for seed, row in zip((0, 1), last.itertuples(index=False), strict=True):
        _, losses, test_loss = plain_run(lab, Parity(10, 3), seed, huber)
        row = dict(zip(last.columns, row, strict=True))
        assert row["train/loss"] == pytest.approx(sum(losses) / STEPS, rel=1e-4)
        assert row["val/loss"] == pytest.approx(test_loss, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.loss", "own_loss.Hubr"], r"model\.loss: got 'own_loss\.Hubr'.*did you mean 'own_loss\.Huber'\?"),
        (["--model.loss", "logstic"], r"model\.loss: got 'logstic'; allowed: logistic, .*did you mean 'logistic'\?"),
        (["--model.loss", "svl.models.MLP"], r"model\.loss: got 'svl\.models\.MLP'; allowed: logistic, "),
        (["--model.loss.dleta", "1"], r"model\.loss\.dleta: got '1'; allowed: .*did you mean 'model\.loss\.delta'\?"),
        (["--model.loss.delta", "x"], r"model\.loss\.delta: got 'x'; allowed: a number"),
        (["--replicas.vary.model.loss.delta", "[1, 2]"], r"replicas\.vary\.model\.loss\.delta: .*vary it by a sweep"),
    ],
)
def test_a_wrong_loss_is_an_error_of_one_line(svl, folder, words, message):
    done = svl(folder, "fit", "--config", "huber.yaml", *words)
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert re.search(message, line), line
    assert not (folder / "runs").exists()
