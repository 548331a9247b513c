"""How many optimisation steps one Lightning batch stands for."""

from __future__ import annotations

import math
from collections.abc import Collection

from svl.training.stack import ReplicaStack

# Work of one Lightning batch: about ten seconds on two cores, and about a second on a GPU by its fastest route.
# Signals are handled between batches.
_WORK = {"cpu": 3e10, "cuda": 1e12}


def batch_steps(
    stack: ReplicaStack, measure_every: int, stops: Collection[int], most: int | None, device: str = "cpu"
) -> int:
    """How many steps a Lightning batch has, at most.

    Args:
        stack: to be trained.
        measure_every: steps between two regular measurements; a whole number of batches lies between them.
        stops: numbers of steps, at whose multiples a batch ends too.
        most: what the user asks for, if anything.
        device: the kind of device that trains.
    """
    data = stack.data
    per_replica = sum(parameter.numel() for parameter in stack.network.parameters()) / len(stack.replicas)
    work = data.all_samples(stack.settings, stack.state.data, data.total_steps - 1, 1).sum().item() * per_replica
    whole = math.gcd(measure_every, *stops)
    divisors = (steps for steps in range(min(whole, most or whole), 0, -1) if whole % steps == 0)
    return next((steps for steps in divisors if steps * work <= _WORK.get(device, _WORK["cpu"])), 1)
