"""Learning-rate schedules of ``torch.optim.lr_scheduler``, as factors on every replica's own rates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from svl.errors import SettingError

Schedule = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]


def factors(schedules: Mapping[str, Schedule], steps: int) -> Float[Tensor, "step"]:
    """What multiplies the rates at each step: the product of the schedules, each run with a rate of 1.

    Settings of a schedule that are rates (``eta_min``, ``max_lr``) are therefore shares of a replica's rate.

    Args:
        schedules: by name; each makes a scheduler for an optimizer, which is stepped after every optimisation step.
        steps: of the whole fit.

    Raises:
        SettingError: for a scheduler that cannot be made, that needs a metric, or gives a rate that is no number.
    """
    product = torch.ones(steps, dtype=torch.float64)
    for name, schedule in schedules.items():
        key = f"model.schedules.{name}"
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        made: Any = schedule  # what the command line made of a class and its settings
        try:
            scheduler = made(optimizer)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SettingError(key, name, f"a scheduler that can be built ({reason})") from error
        given = type(scheduler).__name__
        if getattr(scheduler, "cycle_momentum", False):
            raise SettingError(key, given, "cycle_momentum: false; a schedule changes rates alone")
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise SettingError(key, given, "schedulers that depend on the step alone")
        values = torch.empty(steps, dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the scheduler is stepped without an optimizer step
            try:
                for step in range(steps):
                    values[step] = optimizer.param_groups[0]["lr"]
                    scheduler.step()
            except Exception as error:
                raise SettingError(key, given, f"settings that last for {steps} steps ({error})") from error
        if not values.isfinite().all() or (values < 0).any():
            raise SettingError(key, given, "a schedule whose rates are numbers, at least 0")
        product *= values
    return product
