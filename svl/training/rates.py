"""The learning rates of a stack, by parameter group."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svl.training.spec import StackSpec


def rate_columns(spec: StackSpec) -> dict[str, str]:
    """For each distinct column of rates one parameter that has them.

    A column is named by the parameter group, or ``""`` for the parameters that are not in a group. If a
    parameterisation gives the parameters of one group different rates, each has a column of its own name instead.
    """
    members: dict[str, list[str]] = {}
    for name, group in spec.hyper.group.items():
        members.setdefault(group, []).append(name)
    columns = {}
    for group, names in members.items():
        rates = [spec.hyper.rule[name]["lr"].cpu() for name in names]
        if all(torch.equal(rate, rates[0]) for rate in rates):
            columns[group] = names[0]
        else:
            columns |= {name: name for name in names}
    return columns


def rates_at(spec: StackSpec, step: int) -> dict[str, Float[Tensor, "replica"]]:
    """Each column's learning rates at a step, including schedules; 0 where parameters are frozen.

    Args:
        step: from 0; from the last step on, those of the last step.
    """
    factor = 1.0 if spec.rates is None else spec.rates[min(step, len(spec.rates) - 1)].item()
    return {
        column: torch.where(
            spec.hyper.frozen[parameter].cpu(), 0.0, factor * spec.hyper.rule[parameter]["lr"].cpu()
        ).float()
        for column, parameter in rate_columns(spec).items()
    }
