"""The rates that a plain optimizer of torch would use at the coming step."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from svl.callbacks import Rates
from svl.data import Online
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SGD, MuP
from svl.optim.rule import UpdateRule
from svl.replicas import Replicas, broadcast_to
from svl.tasks import Parity
from svl.training.groups import ParameterGroup
from svl.training.replica_module import ReplicaModule

STEPS = 20


def measured(step, replicas=None, **settings):
    replicas = replicas or Replicas(2)
    made = ReplicaModule(MLP, "logistic", SGD(lr=0.4), replicas=replicas, compile="never", **settings)
    made.prepare(Online(Parity(6, 2), batch_size=8, test_size=8), STEPS, 5)
    made.trainer = SimpleNamespace(global_step=step, state=SimpleNamespace(fn="fit"))
    columns = Rates().measure(made)
    assert list(columns) == list(Rates().names(made))
    return {name: column.tolist() for name, column in columns.items()}, made


def test_there_is_one_rate_where_there_are_no_groups():
    found, _ = measured(0, Replicas(2, vary={"model.optimizer.lr": [0.1, 0.2]}))
    assert list(found) == ["rate"]
    np.testing.assert_allclose(found["rate"], [0.1, 0.1, 0.2, 0.2])


@pytest.mark.parametrize("step", [0, 7, STEPS - 1, STEPS])
def test_groups_follow_the_schedule_and_frozen_ones_have_none(step):
    groups = {"in": ParameterGroup("layers.0.*", lr=3.0), "out": ParameterGroup("layers.1.weight")}
    replicas = Replicas(1, vary={"model.groups.out.frozen": [False, True]})
    schedules = {"decay": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)}
    found, _ = measured(step, replicas, groups=groups, schedules=schedules)
    # The last step's, where there is no coming one.
    factor = (1 + np.cos(np.pi * min(step, STEPS - 1) / STEPS)) / 2
    expected = {"rate/in": [3 * factor] * 2, "rate/out": [0.4 * factor, 0], "rate": [0.4 * factor] * 2}
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-5, err_msg=name)


def test_parameters_have_columns_of_their_own_where_a_parameterisation_tells_them_apart():
    found, made = measured(3, parameterisation=MuP(base_width=8))
    before = {name: p.clone() for name, p in made.stack.parameters_by_name().items()}
    gradients = made.stack.gradients(0, 1)[0]
    made.stack.train_steps(0, 1)
    assert set(found) == {f"rate/{name}" for name in before}
    assert len({tuple(column) for column in found.values()}) > 1
    # What an SGD step moves a weight by is its rate times the gradient.
    for name, (first, end) in made.stack.spec.packing.places().items():
        moved = (before[name] - made.stack.parameters_by_name()[name]).flatten(1).norm(dim=1)
        rate = moved / gradients[:, first:end].norm(dim=1)
        np.testing.assert_allclose(found[f"rate/{name}"], rate.tolist(), rtol=1e-3, err_msg=name)


class FixedSteps(UpdateRule):
    """p <- p - size sign(g): an optimizer whose hyperparameter is not called ``lr``."""

    per_replica = frozenset({"size"})

    def __init__(self, size: float = 0.01) -> None:
        self.size = size

    def state(self, parameter):
        return {}

    def update(self, parameter, gradient, state, hyper, step):
        return parameter - broadcast_to(hyper["size"], parameter) * gradient.sign(), {}


def test_an_optimizer_without_a_learning_rate_trains_but_has_no_rates():
    module = ReplicaModule(MLP, "logistic", FixedSteps(), replicas=Replicas(2), compile="never")
    module.prepare(Online(Parity(6, 2), batch_size=8, test_size=8), STEPS, 5)
    before = {name: p.clone() for name, p in module.stack.parameters_by_name().items()}
    module.stack.train_steps(0, 1)
    for name, parameter in module.stack.parameters_by_name().items():
        moved = (parameter - before[name]).abs()
        torch.testing.assert_close(moved[moved > 0], torch.full_like(moved[moved > 0], 0.01), rtol=1e-4, atol=1e-6)
    with pytest.raises(SettingError, match=r"got 'Rates'; allowed: optimizers with lr; FixedSteps has none"):
        Rates().names(module)
