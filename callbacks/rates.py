"""The learning rates in effect."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack


class Rates(Measurement):
    """Learning rates of the next step, including schedules and parameterisation; 0 for frozen parameters.

    ``rate/<group>`` for each parameter group, and ``rate`` for the parameters that are not in a group. If a
    parameterisation gives the parameters of one group different rates, each has a column ``rate/<name>`` instead. The
    last measurement of a fit has the rates of its last step.

    Cost: reads one number for each group, which is negligible.

    Raises:
        SettingError: for an optimizer without a learning rate ``lr``.
    """

    def names(self, module: ReplicaModule) -> Sequence[str]:
        rule = module.stack.spec.rule
        if "lr" not in rule.per_replica:
            raise SettingError("trainer.callbacks", "Rates", f"optimizers with lr; {type(rule).__name__} has none")
        return list(_parameters(module.stack))

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack = module.stack
        rates = stack.spec.rates
        factor = 1.0 if rates is None else rates[min(module.global_step, len(rates) - 1)].item()
        columns = {}
        for column, parameter in _parameters(stack).items():
            rate, frozen = stack.spec.hyper.rule[parameter]["lr"].cpu(), stack.spec.hyper.frozen[parameter].cpu()
            columns[column] = torch.where(frozen, 0.0, factor * rate).float()
        return columns


def _parameters(stack: ReplicaStack) -> dict[str, str]:
    """A parameter for each column, whose rate the column shows."""
    members: dict[str, list[str]] = {}
    for name, group in stack.spec.hyper.group.items():
        members.setdefault(group, []).append(name)
    columns = {}
    for group, names in members.items():
        rates = [stack.spec.hyper.rule[name]["lr"].cpu() for name in names]
        if all(torch.equal(rate, rates[0]) for rate in rates):
            columns[f"rate/{group}".rstrip("/")] = names[0]
        else:
            columns |= {f"rate/{name}": name for name in names}
    return columns
