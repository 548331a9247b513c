"""An optimizer of one's own: the stack trains with it as a plain loop would."""

from functools import partial
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch

from svl.data import Online
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import MuP
from svl.optim.rule import UpdateRule, zeros
from svl.replicas import Replicas, broadcast_to
from svl.tasks import Parity
from svl.training import ParameterGroup

STEPS, BATCH, BETA1, BETA2 = 8, 32, 0.8, 0.95
RATES = [0.003, 0.02]


class Lion(UpdateRule):
    """c = beta1 m + (1 - beta1) g; p <- p - lr sign(c); m <- beta2 m + (1 - beta2) g (Chen et al. 2023)."""

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "beta1", "beta2"})
    elementwise = True
    is_adaptive = True

    def __init__(self, lr: float = 0.01, beta1: float = BETA1, beta2: float = BETA2) -> None:
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2

    def state(self, parameter):
        return zeros(parameter, "momentum")

    def update(self, parameter, gradient, state, hyper, step):
        lr, beta1, beta2 = (broadcast_to(hyper[name], parameter) for name in ("lr", "beta1", "beta2"))
        direction = beta1 * state["momentum"] + (1 - beta1) * gradient
        momentum = beta2 * state["momentum"] + (1 - beta2) * gradient
        return parameter - lr * direction.sign(), {"momentum": momentum}


class SignDescent(UpdateRule):
    """p <- p - lr sign(g): no state at all."""

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr"})

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    def state(self, parameter):
        return {}

    def update(self, parameter, gradient, state, hyper, step):
        return parameter - broadcast_to(hyper["lr"], parameter) * gradient.sign(), {}


def plain_run(lab, task, seed, rates, beta1, beta2):
    """Lion from its definition, on one network; ``rates`` maps a parameter's name to its learning rate."""
    network = lab.plain_network(task, seed)
    momentum = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for step in range(STEPS):
        x, y = lab.examples(task, seed, range(step * BATCH, (step + 1) * BATCH))
        network.zero_grad()
        lab.losses["logistic"](network(x).squeeze(-1), y).backward()
        with torch.no_grad():
            for name, p in network.named_parameters():
                p -= rates(name) * torch.sign(beta1 * momentum[name] + (1 - beta1) * p.grad)
                momentum[name] = beta2 * momentum[name] + (1 - beta2) * p.grad
    return network


def train(lab, task, rule, compile="never", **settings):
    data = Online(task, batch_size=BATCH, test_size=50)
    stack = lab.stack(data, STEPS, rule=rule, compile=compile, **settings)
    stack.train_steps(0, STEPS)
    return stack


@pytest.mark.parametrize("compile", ["never", "always"])
def test_each_replica_is_trained_as_by_its_definition(lab, compile):
    task = Parity(10, 3)
    replicas = Replicas(2, vary={"model.optimizer.lr": RATES})
    stack = train(lab, task, Lion(), compile, replicas=replicas)
    for replica, (lr, seed) in enumerate((lr, seed) for lr in RATES for seed in (0, 1)):
        network = plain_run(lab, task, seed, lambda name, lr=lr: lr, BETA1, BETA2)
        lab.assert_replica_is(stack, replica, network)


def test_groups_and_parameterisations_change_the_rates_that_it_has(lab):
    task = Parity(10, 3)
    groups = {"first": ParameterGroup("layers.0.*", lr=0.001)}
    settings = {"network": partial(MLP, width=12), "groups": groups, "parameterisation": MuP(base_width=6)}
    stack = train(lab, task, Lion(0.01), replicas=Replicas(2), **settings)
    # Twice the base width and an adaptive rule halve the rate of the output weights.
    rates = {"layers.0.weight": 0.001, "layers.0.bias": 0.001, "layers.1.weight": 0.005, "layers.1.bias": 0.01}
    assert {name: hyper["lr"].tolist() for name, hyper in stack.spec.hyper.rule.items()} == {
        name: pytest.approx([rate] * 2) for name, rate in rates.items()
    }
    assert all(set(hyper) == {"lr", "beta1", "beta2"} for hyper in stack.spec.hyper.rule.values())


@pytest.mark.parametrize("varied", [False, True])
def test_a_group_that_sets_what_it_does_not_have_is_refused(lab, varied):
    key = "model.groups.first.weight_decay"
    group = ParameterGroup("layers.0.*", weight_decay=None if varied else 0.1)
    replicas = Replicas(2, vary={key: [None, 0.1]} if varied else None)
    with pytest.raises(SettingError, match=r"got 0\.1; allowed: null: Lion has no weight_decay") as caught:
        lab.stack(rule=Lion(), groups={"first": group}, replicas=replicas)
    assert caught.value.key == key


def test_a_rule_without_state_trains_and_is_saved(lab):
    task = Parity(10, 3)
    stack = train(lab, task, SignDescent(0.01), replicas=Replicas(2))
    for replica in range(2):
        lab.assert_replica_is(stack, replica, plain_run(lab, task, replica, lambda name: 0.01, 0, 0))
    saved = lab.through_a_file(stack.state_dict())
    fresh = lab.stack(Online(task, batch_size=BATCH, test_size=50), STEPS, rule=SignDescent(0.01), replicas=Replicas(2))
    fresh.load_state_dict(saved)
    for name, parameter in fresh.parameters_by_name().items():
        assert torch.equal(parameter, stack.parameters_by_name()[name])


CONFIG = """
replicas: {seeds: 2, vary: {model.optimizer.lr: [0.0, 0.01]}}
data:
  class_path: Online
  init_args: {task: {class_path: Parity, init_args: {dim: 8, degree: 2}}, batch_size: 32, test_size: 64}
model:
  network: {class_path: MLP, init_args: {width: 8}}
  loss: logistic
  optimizer: {class_path: own_rule.Lion}
trainer: {max_steps: 20, log_every_n_steps: 10, callbacks: [Rates, NormRatio]}
"""


def test_a_config_names_it_by_its_import_path(svl, tmp_path, monkeypatch):
    (tmp_path / "own_rule.py").write_text(Path(__file__).read_text())
    (tmp_path / "lion.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    done = svl(tmp_path, "fit", "--config", "lion.yaml", "--wandb.mode", "disabled")
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    ratios = history.groupby(["model.optimizer.lr", "seed"])["norm_ratio"].nunique()
    assert ratios.tolist() == [1, 1, 3, 3]  # measured at steps 0, 10 and 20
    assert sorted(history["rate"].unique()) == pytest.approx([0.0, 0.01])
