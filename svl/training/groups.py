"""Parameter groups: learning rate, weight decay, scale and freezing of the parameters that match a pattern."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from svl.checks import check_number
from svl.errors import SettingError
from svl.optim.parameterisation import Factors
from svl.optim.rule import UpdateRule
from svl.replicas import Replicas

GROUP_NUMBERS = ("lr", "weight_decay", "scale", "frozen")


@dataclass
class ParameterGroup:
    """Settings of the parameters whose names match a glob pattern; the numbers and ``frozen`` can vary by replica.

    Args:
        params: a glob pattern such as ``layers.0.*``, or a list of them.
        lr: learning rate; the optimizer's own if left out.
        weight_decay: weight decay; the optimizer's own if left out.
        scale: factor on the initial values.
        frozen: whether the parameters keep their initial values.
        stream: take the gradients from batches of this stream of ``data.streams``; the strategy's own if left out.
    """

    params: str | list[str]
    lr: float | None = None
    weight_decay: float | None = None
    scale: float = 1.0
    frozen: bool = False
    stream: str | None = None

    per_replica = frozenset(GROUP_NUMBERS)

    @property
    def patterns(self) -> list[str]:
        return [self.params] if isinstance(self.params, str) else list(self.params)


@dataclass
class StackHyper:
    """The hyperparameters, scale, freezing and data stream of each parameter; tensors have one value for each replica.

    Attributes:
        rule: for each parameter name the update rule's hyperparameters, float64 ``[replica]``.
        scale: factor on the initial values, float64 ``[replica]``.
        frozen: whether the parameter keeps its initial values, bool ``[replica]``.
        group: the parameter's group, or ``""``.
        stream: the data stream of its gradients, or ``""`` for the strategy's own batches.
    """

    rule: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    scale: dict[str, Tensor] = field(default_factory=dict)
    frozen: dict[str, Tensor] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    stream: dict[str, str] = field(default_factory=dict)


def stack_hyper(
    names: list[str],
    rule: UpdateRule,
    groups: dict[str, ParameterGroup],
    replicas: Replicas,
    factors: Mapping[str, Factors] | None = None,
    find: Callable[[str, list[str]], list[str]] | None = None,
) -> StackHyper:
    """Hyperparameters of every parameter.

    Args:
        names: the network's parameter names.
        factors: the parameterisation's factors, by parameter; they also multiply the values that a group sets. Factors
            on the weight decay of a ``rule`` without one are ignored.
        find: the parameters that a pattern matches, where some have several names; by their names if left out.

    Raises:
        SettingError: for a pattern that matches nothing, a parameter in two groups, a number out of range, a group that
            sets a hyperparameter that ``rule`` does not have, or factors on the rates of a rule without ``lr``.
    """
    every = replicas.columns("model.optimizer.", rule)
    base = {key: column for key, column in every.items() if key not in rule.optional or any(column)}
    if "lr" not in base and any(torch.as_tensor(factor.lr).ne(1).any() for factor in (factors or {}).values()):
        raise SettingError("model.parameterisation", None, f"null: {type(rule).__name__} has no lr to multiply")
    group_of = _assign(names, groups, find or _find)
    columns = {name: _group_columns(name, group, replicas) for name, group in groups.items()}
    for name, column in columns.items():
        for key in ("lr", "weight_decay"):
            changes = [value for value in column[key] if value is not None]
            if changes and key not in base:
                allowed = f"null: {type(rule).__name__} has no {key}"
                raise SettingError(f"model.groups.{name}.{key}", changes[0], allowed)
    streams = {name: group.stream or "" for name, group in groups.items()}
    hyper = StackHyper(group=group_of, stream={name: streams.get(group, "") for name, group in group_of.items()})
    for name in names:
        group_columns = columns.get(group_of[name], {})
        values = dict(base)
        for key in ("lr", "weight_decay"):
            if key in group_columns and key in base:
                values[key] = [b if g is None else g for b, g in zip(base[key], group_columns[key], strict=True)]
        factor = (factors or {}).get(name, Factors())
        hyper.rule[name] = {key: torch.tensor(value, dtype=torch.float64) for key, value in values.items()}
        for key, multiplier in (("lr", factor.lr), ("weight_decay", factor.weight_decay)):
            if key in base:
                hyper.rule[name][key] *= multiplier
        scales = group_columns.get("scale", [1.0] * len(replicas))
        hyper.scale[name] = torch.tensor(scales, dtype=torch.float64) * factor.scale
        hyper.frozen[name] = torch.tensor(group_columns.get("frozen", [False] * len(replicas)))
    return hyper


def _find(pattern: str, names: list[str]) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _assign(
    names: list[str], groups: dict[str, ParameterGroup], find: Callable[[str, list[str]], list[str]]
) -> dict[str, str]:
    group_of = dict.fromkeys(names, "")
    for group_name, group in groups.items():
        for pattern in group.patterns:
            matched = find(pattern, names)
            if not matched:
                raise SettingError(f"model.groups.{group_name}.params", pattern, f"a pattern of {', '.join(names)}")
            for name in matched:
                if group_of[name] not in ("", group_name):
                    raise SettingError(
                        f"model.groups.{group_name}.params",
                        pattern,
                        f"parameters in one group; {name} is in {group_of[name]}",
                    )
                group_of[name] = group_name
    return group_of


def _group_columns(name: str, group: ParameterGroup, replicas: Replicas) -> dict[str, list]:
    key = f"model.groups.{name}."
    for number in GROUP_NUMBERS:
        for value in replicas.vary.get(key + number, [getattr(group, number)]):
            _check(key + number, number, value)
    return {number: replicas.column(key + number, getattr(group, number)) for number in GROUP_NUMBERS}


def _check(key: str, number: str, value: object) -> None:
    if number == "frozen":
        if not isinstance(value, bool):
            raise SettingError(key, value, "true or false")
    elif number == "scale":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingError(key, value, "a finite number")
    elif value is not None:
        check_number(key, value, 0, math.inf, open_high=True)
