"""One measurement of a fit: checks of what is measured, and its means over arms."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from svl.errors import SettingError
from svl.replicas import Replicas


def arm_values(
    measured: Mapping[str, Float[Tensor, "replica"]], replicas: Replicas
) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Float[Tensor, ""]]]:
    """Means of each metric over all replicas, by its name, and over each arm's seeds, as ``<metric>/<arm>``.

    NaN, which a diverged replica has, is left out of a mean. There are no means of arms where there is one arm.
    """
    table = torch.stack(list(measured.values())).double()
    means = dict(zip(measured, table.nanmean(1).float().unbind(), strict=True))
    if len(replicas.arms) == 1:
        return means, {}
    by_arm = table.unflatten(1, (len(replicas.arms), replicas.seeds)).nanmean(2).float()
    names = [f"{metric}/{label}" for metric in measured for label in replicas.arm_labels]
    return means, dict(zip(names, by_arm.flatten().unbind(), strict=True))


def checked(
    owner: str, announced: Collection[str], values: Mapping[str, Any], taken: Collection[str], replicas: int
) -> dict[str, Float[Tensor, "replica"]]:
    """What a callback has measured, as floating-point numbers on the CPU.

    Args:
        owner: the callback's name, for messages.
        announced: the names that it said it would measure.
        values: one number for each replica, by name.
        taken: names that are measured by others.
        replicas: number of replicas.

    Raises:
        SettingError: for names that were not announced or are taken, and for anything but one number a replica.
    """
    where = "trainer.callbacks"
    if values.keys() != set(announced):
        given = ", ".join(sorted(values)) or "nothing"
        raise SettingError(where, f"{owner} that measures {given}", f"what it announces: {', '.join(announced)}")
    columns = {}
    for name, value in values.items():
        if name in taken:
            raise SettingError(where, f"{owner} that measures {name}", "names that nothing else in the fit measures")
        column = torch.as_tensor(value).detach().cpu()
        if column.shape != (replicas,) or column.is_complex():
            given = f"{owner} that measures {name} with shape {tuple(column.shape)}"
            raise SettingError(where, given, f"one real number for each replica: shape ({replicas},)")
        columns[name] = column if column.is_floating_point() else column.float()
    return columns
