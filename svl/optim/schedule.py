"""Learning-rate schedules of ``torch.optim.lr_scheduler``, as factors on the learning rates of every replica."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from svl.errors import SettingError
from svl.optim.rule import UpdateRule

Schedule = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]


def factors(schedules: Mapping[str, Schedule], steps: int) -> Float[Tensor, "step"]:
    """The factor on the learning rates at each step: the product of the schedules, each run with a base rate of 1.

    Settings of a schedule that are learning rates (``eta_min``, ``max_lr``) are thus fractions of a replica's rate.

    Args:
        schedules: by name, functions that make a scheduler for an optimizer; it is stepped after every optimisation
            step.
        steps: number of steps of the whole fit.

    Raises:
        SettingError: for a scheduler that cannot be built, that needs a metric, or whose rates are negative or not
            finite.
    """
    product = torch.ones(steps, dtype=torch.float64)
    for name, schedule in schedules.items():
        key = f"model.schedules.{name}"
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        make: Any = schedule  # the command line's type for a class and its settings
        try:
            scheduler = make(optimizer)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SettingError(key, name, f"a scheduler that can be built ({reason})") from error
        class_name = type(scheduler).__name__
        if getattr(scheduler, "cycle_momentum", False):
            raise SettingError(key, class_name, "cycle_momentum: false, because a schedule changes rates alone")
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise SettingError(key, class_name, "a schedule that depends on the step alone, not on a metric")
        values = torch.empty(steps, dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that the scheduler is stepped before the optimizer
            try:
                for step in range(steps):
                    values[step] = optimizer.param_groups[0]["lr"]
                    scheduler.step()
            except Exception as error:
                raise SettingError(key, class_name, f"settings that last for {steps} steps ({error})") from error
        if not values.isfinite().all() or (values < 0).any():
            raise SettingError(key, class_name, "a schedule whose rates are finite and at least 0")
        product *= values
    return product


def rates_of(schedules: Mapping[str, Schedule], rule: UpdateRule, steps: int) -> Float[Tensor, "step"] | None:
    """The factor on an optimizer's learning rates at each step, or ``None`` without schedules.

    Args:
        schedules: as for :func:`factors`.
        rule: the optimizer.
        steps: number of steps of the whole fit.

    Raises:
        SettingError: as :func:`factors` does, and for an optimizer without ``lr``.
    """
    if not schedules:
        return None
    if "lr" not in rule.per_replica:
        allowed = f"null: schedules multiply lr, which {type(rule).__name__} does not have"
        raise SettingError("model.schedules", ", ".join(schedules), allowed)
    return factors(schedules, steps)
