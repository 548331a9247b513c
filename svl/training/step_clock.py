"""The optimizer that Lightning sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from svl.replicas import Replicas
from svl.training.rates import rate_columns, rates_at
from svl.training.spec import StackSpec


class StepClock(torch.optim.Optimizer):
    """Runs a closure that advances the stack, which has its own update rule.

    Its parameter groups hold no parameters. They are there to be read, for example by Lightning's
    ``LearningRateMonitor``: there is one for each parameter group and arm, with its name, its learning rate, and
    momentum, betas and weight decay where the rule has them.

    Args:
        spec: what is trained.
        replicas: arms and seeds.
    """

    def __init__(self, spec: StackSpec, replicas: Replicas) -> None:
        self._spec, self._first = spec, slice(None, None, replicas.seeds)
        self._has_rates = "lr" in spec.rule.per_replica
        columns = rate_columns(spec) if self._has_rates else {"": next(iter(spec.hyper.rule))}
        arms = replicas.arm_names if len(replicas.arms) > 1 else [""]
        groups: list[dict[str, Any]] = []
        for column, parameter in columns.items():
            hyper = {name: values[self._first].tolist() for name, values in spec.hyper.rule[parameter].items()}
            for place, arm in enumerate(arms):
                name = "/".join(filter(None, (column, arm)))
                groups.append({"params": [torch.zeros(0)], "name": name, **_numbers(hyper, place)})
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **_numbers(hyper, 0)})
        self.show(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return None if closure is None else closure()

    def show(self, step: int) -> None:
        """Let the groups have the learning rates of a step."""
        if self._has_rates:
            rates = [rate for column in rates_at(self._spec, step).values() for rate in column[self._first].tolist()]
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the stack keeps the optimizer's state."""
        return {"state": {}, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""


def clock_of(spec: StackSpec, replicas: Replicas) -> StepClock:
    """A clock whose class has the update rule's name, under which monitors log it."""
    kind: type[StepClock] = type(type(spec.rule).__name__, (StepClock,), {})
    return kind(spec, replicas)


def _numbers(hyper: dict[str, list[float]], arm: int) -> dict[str, Any]:
    """What a monitor can show of an arm's hyperparameters besides the learning rate, under torch's names."""
    shown: dict[str, Any] = {name: hyper[name][arm] for name in ("momentum", "weight_decay") if name in hyper}
    if {"beta1", "beta2"} <= hyper.keys():
        shown["betas"] = (hyper["beta1"][arm], hyper["beta2"][arm])
    return shown
