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


class LayerNormalised(UpdateRule):
    """Every matrix's update has norm lr, as in LARS or Muon; other parameters move by SGD."""

    per_replica: ClassVar[frozenset[str]] = frozenset({"lr", "weight_decay"})

    def __init__(self, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        self.lr, self.weight_decay = lr, weight_decay

    def state(self, parameter):
        return {}

    def update(self, parameter, gradient, state, hyper, step):
        if gradient.dim() == 3:  # [replica, out, in]
            gradient = gradient / gradient.flatten(1).norm(dim=1)[:, None, None]
        return parameter - broadcast_to(hyper["lr"], parameter) * gradient, {}


class CountsSteps(LayerNormalised):
    """Its rate is lr / (1 + steps): the state is a number for each replica."""

    def state(self, parameter):
        return {"n": torch.zeros(parameter.shape[0])}

    def update(self, parameter, gradient, state, hyper, step):
        rate = broadcast_to(hyper["lr"] / (1 + state["n"]), parameter)
        return parameter - rate * gradient, {"n": state["n"] + 1}


class CountsStepsElementwise(CountsSteps):
    elementwise = True


def loop(lab, task, seed, move):
    """A plain loop: ``move(name, parameter, step)`` is what is subtracted from a parameter."""
    network = lab.plain_network(task, seed)
    for step in range(STEPS):
        x, y = lab.examples(task, seed, range(step * BATCH, (step + 1) * BATCH))
        network.zero_grad()
        lab.losses["logistic"](network(x).squeeze(-1), y).backward()
        with torch.no_grad():
            for name, p in network.named_parameters():
                p -= move(name, p, step)
    return network


@pytest.mark.parametrize("compile", ["never", pytest.param("always", marks=pytest.mark.slow)])
@pytest.mark.parametrize("own_lr", [None, 0.2])
def test_a_rule_sees_each_parameter_in_its_shape_with_groups_or_without(lab, own_lr, compile):
    task = Parity(10, 3)
    groups = {} if own_lr is None else {"first": ParameterGroup("layers.0.*", lr=own_lr)}
    replicas = Replicas(2, vary={"model.optimizer.lr": [0.05, 0.1]})
    stack = train(lab, task, LayerNormalised(), compile, replicas=replicas, groups=groups)
    for replica, (lr, seed) in enumerate((lr, seed) for lr in (0.05, 0.1) for seed in (0, 1)):

        def move(name, p, step, lr=lr):
            rate = own_lr or lr if name.startswith("layers.0.") else lr
            return rate * (p.grad / p.grad.norm() if p.dim() == 2 else p.grad)

        lab.assert_replica_is(stack, replica, loop(lab, task, seed, move))


@pytest.mark.parametrize("rule", [CountsSteps, CountsStepsElementwise])
def test_a_number_for_each_replica_is_a_state_and_is_resumed(lab, rule):
    task, groups = Parity(10, 3), {"biases": ParameterGroup("*.bias", lr=0.02)}
    stack = train(lab, task, rule(0.3), replicas=Replicas(2), groups=groups)
    for seed in (0, 1):
        plain = loop(lab, task, seed, lambda n, p, step: (0.02 if "bias" in n else 0.3) / (1 + step) * p.grad)
        lab.assert_replica_is(stack, seed, plain)
    assert all(state["n"].tolist() == [STEPS] * 2 for state in stack.state.rule.values())
    half, fresh = (
        lab.stack(
            Online(task, batch_size=BATCH, test_size=50), STEPS, rule=rule(0.3), replicas=Replicas(2), groups=groups
        )
        for _ in range(2)
    )
    half.train_steps(0, 3)
    fresh.load_state_dict(lab.through_a_file(half.state_dict()))
    fresh.train_steps(3, STEPS - 3)
    torch.testing.assert_close(fresh.parameters_by_name(), stack.parameters_by_name(), rtol=0, atol=0)
    torch.testing.assert_close(fresh.state.rule, stack.state.rule, rtol=0, atol=0)


def test_the_state_of_a_replica_that_diverges_stays_as_it_was(lab):
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 1e30]})
    stack = train(lab, Parity(10, 3), CountsSteps(), replicas=replicas)
    at = int(stack.record["diverged_at"][1])
    assert 0 < at < STEPS
    assert stack.state.rule["layers.0.weight"]["n"].tolist() == [STEPS, at]


class WithoutRate(LayerNormalised):
    per_replica: ClassVar[frozenset[str]] = frozenset({"weight_decay"})
    elementwise = True

    def update(self, parameter, gradient, state, hyper, step):
        return parameter - 0.1 * gradient, {}


def test_schedules_and_factors_on_rates_need_a_rate(lab):
    warmup = partial(torch.optim.lr_scheduler.LinearLR, start_factor=0.1, total_iters=3)
    assert lab.stack(rule=WithoutRate()).spec.numbers == {"weight_decay"}
    with pytest.raises(SettingError, match="got 'warmup'; allowed: null: schedules multiply lr") as caught:
        lab.stack(rule=WithoutRate(), schedules={"warmup": warmup})
    assert caught.value.key == "model.schedules"
    with pytest.raises(SettingError, match="allowed: null: WithoutRate has no lr to multiply") as caught:
        lab.stack(rule=WithoutRate(), network=partial(MLP, width=12), parameterisation=MuP(base_width=6))
    assert caught.value.key == "model.parameterisation"


class Mixing(SignDescent):
    def update(self, parameter, gradient, state, hyper, step):
        return parameter - broadcast_to(hyper["lr"], parameter) * gradient / gradient.norm(), {}


class Packed(LayerNormalised):
    elementwise = True


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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_rule.Mixing", "got 'Mixing'; allowed: an update that treats each replica by itself"),
        ("own_rule.Packed", "got 'Packed'; allowed: elementwise = False"),
    ],
)
def test_a_rule_that_breaks_the_contract_ends_the_command_in_one_line(svl, tmp_path, monkeypatch, name, message):
    (tmp_path / "own_rule.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (tmp_path / "own.yaml").write_text(
        CONFIG.replace("own_rule.Lion", name).replace(", vary: {model.optimizer.lr: [0.0, 0.01]}", "")
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = svl(tmp_path, "fit", "--config", "own.yaml", "--wandb.mode", "disabled")
    assert done.status == 2 and done.err.count("\n") == 1 and message in done.err
    assert not (tmp_path / "runs").exists()


def test_a_config_names_it_by_its_import_path(svl, tmp_path, monkeypatch):
    (tmp_path / "own_rule.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (tmp_path / "lion.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    done = svl(tmp_path, "fit", "--config", "lion.yaml", "--wandb.mode", "disabled")
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    ratios = history.groupby(["model.optimizer.lr", "seed"])["norm_ratio"].nunique()
    assert ratios.tolist() == [1, 1, 3, 3]  # measured at steps 0, 10 and 20
    assert sorted(history["rate"].unique()) == pytest.approx([0.0, 0.01])
