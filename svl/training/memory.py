"""What a fit holds at least, from shapes alone, before anything is made: what cannot fit is refused in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from svl import limits
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.training.routes.step_by_step import StepByStep
from svl.training.spec import StackSpec

if TYPE_CHECKING:
    from svl.training.plan import Plan

_BYTES = 4  # of a number
_OF_INDEX = 8
# An activation with its gradient, and the 64-bit words of examples: 6 to 13 bytes a number where a step was followed.
_BYTES_AT_ONCE = 16
_SHARE_AT_ONCE = 4  # of a GPU's memory; parameters, optimizer states and test examples have the rest


def of_gpu(device: torch.device) -> int:
    """Bytes of memory that a GPU has."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def numbers_at_once(device: torch.device) -> int:
    """Activations, and numbers of examples, that one call on a GPU may hold, for all its replicas together."""
    return of_gpu(device) // (_SHARE_AT_ONCE * _BYTES_AT_ONCE)


def check_state(replicas: Replicas, network: nn.Module) -> None:
    """Refuse a stack whose parameters cannot fit in memory.

    Args:
        network: one of its networks.

    Raises:
        SettingError: naming the setting.
    """
    parameters, seeds = sum(parameter.numel() for parameter in network.parameters()), len(set(replicas.seed))
    # Each seed's network, the stacked parameters, and the state of training, which packs them.
    held = _BYTES * parameters * (seeds + 2 * len(replicas))
    what = f"{len(replicas):,} replicas of a network of {parameters:,} parameters"
    _check("replicas.seeds", replicas.seeds, held, what, limits.memory())


def check_batch(spec: StackSpec) -> None:
    """Refuse a fit in which the examples of one replica's step cannot fit in memory, by whatever route.

    Raises:
        SettingError: naming the setting.
    """
    numbers = spec.example_size
    if spec.has_signs and spec.execution.compile != "never":
        numbers = 2  # a kernel holds bits and targets
    _check_examples(spec, spec.data.examples_at_once(spec.settings, 1), 1, numbers, limits.memory())


def check_plan(spec: StackSpec, plan: Plan) -> None:
    """Refuse a fit in which what the plan holds at once of one step cannot fit in the device's memory.

    Raises:
        SettingError: naming the setting.
    """
    if plan.step_route is StepByStep and not plan.batch_route.for_long_fits:
        # Half of the activations, since a module may work in place and a compiled step fuses some.
        numbers = spec.example_size + spec.activations // 2
        is_gpu = plan.device.type == "cuda"
        limit = of_gpu(plan.device) if is_gpu else limits.memory()
        replicas = plan.workers * min(block.replicas for block in plan.blocks)
        _check_examples(spec, plan.micro_batch_size, replicas, numbers, limit)


def fits(spec: StackSpec, plan: Plan) -> bool:
    """Whether :func:`check_plan` accepts the plan."""
    try:
        check_plan(spec, plan)
    except SettingError:
        return False
    return True


def _check_examples(spec: StackSpec, examples: int, replicas: int, numbers: int, limit: int | None) -> None:
    held = replicas * examples * (_OF_INDEX + _BYTES * numbers)
    what = f"{examples:,} examples at once for each of {replicas:,} replicas"
    _check("data.batch_size", spec.data.batch_size, held, what, limit)


def _check(key: str, given: int, held: int, what: str, limit: int | None) -> None:
    if limit is not None and held > limit:
        allowed = f"what fits in the {_size(limit)} that this process can have: {what} take {_size(held)} or more"
        raise SettingError(key, given, allowed)


def _size(number: int) -> str:
    return f"{number / 2**20:.3g} MB" if number < 2**30 else f"{number / 2**30:,.1f} GB"
