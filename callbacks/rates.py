"""The learning rates in effect."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from callbacks.measurement import Measurement
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack


class Rates(Measurement):
    """Learning rates of the coming step, with schedules and parameterisation; 0 for what is frozen.

    ``rate/<group>`` for each parameter group and ``rate`` for the parameters in none. Where a parameterisation gives
    parameters of one group different rates, each has a column ``rate/<name>`` instead. At the last measurement of a
    fit, the rates of its last step.

    Reads one number per group: free.
    """

    def names(self, module: ReplicaModule) -> Sequence[str]:
        return list(_parameters(module.stack))

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack = module.stack
        rates = stack.spec.rates
        factor = 1.0 if rates is None else rates[min(module.global_step, len(rates) - 1)].item()
        found = {}
        for column, parameter in _parameters(stack).items():
            rate, frozen = stack.spec.hyper.rule[parameter]["lr"].cpu(), stack.spec.hyper.frozen[parameter].cpu()
            found[column] = torch.where(frozen, 0.0, factor * rate).float()
        return found


def _parameters(stack: ReplicaStack) -> dict[str, str]:
    """For each column a parameter that has its rate."""
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
