"""What a short probe of a fit measures: the output layer's first gradient, the norms' growth, what is memorised."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

import svl.models
import svl.optim
import svl.tasks
from svl.callbacks.gradient_similarity import gram, noise
from svl.callbacks.memorisation import Shares, probes
from svl.callbacks.memorisation import tests as unseen
from svl.data import Subset
from svl.losses.names import LOSSES
from svl.replicas import Replicas
from svl.rule.problems import Problem
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

BATCHES, STEPS, SMALL, SEEDS = 128, 128, 256, 4
"""Batches of the first gradient, steps of the two small fits, the set that one of them repeats, and seeds."""


def features(problem: Problem) -> dict[str, float]:
    """Numbers of a problem at its middle rate, as medians over seeds.

    - ``noise``: log2 of the noise scale of the output layer's gradient at step 0, tr(Sigma) / |G|^2 in examples: a set
      of so many examples has a sampling bias q_N as large as the population's gradient q. It is estimated from 128
      batches, and cut off at their number of examples: a larger one cannot be told from infinity.
    - ``growth``: the logarithm of the norm ratio (output layer over input layer) after 128 steps on 256 examples,
      over that after 128 steps on fresh data.
    - ``memorised``: the share of the 256 examples that are memorised after these steps, above chance.
    """
    every = problem.all_data
    stacks = {size: _stack(problem, size) for size in (SMALL, every)}
    rows = stacks[every].gradients(0, BATCHES)
    first, end = next(reversed(_weights(stacks[every]).values()))
    measured = noise(gram(rows[..., first:end]), problem.batch)
    most = BATCHES * problem.batch
    square = measured["gradient_square"].clamp(min=0)
    scale = (measured["gradient_variance"] / square.clamp(min=1e-30)).clamp(max=most)
    begun = {size: _norm_ratio(stack) for size, stack in stacks.items()}
    for stack in stacks.values():
        stack.train_steps(0, STEPS)
    grown = {size: (_norm_ratio(stack) / begun[size]).log() for size, stack in stacks.items()}
    numbers = {"noise": scale.log2(), "growth": grown[SMALL] - grown[every]}
    if problem.target[0] == "val/accuracy":
        stack = stacks[SMALL]
        own = probes(stack, [(0, SMALL, 0)] * SEEDS, 64)
        numbers["memorised"] = Shares.of(stack, own).memorised - Shares.of(stack, unseen(stack, 64)).memorised
    return {name: float(values.median()) for name, values in numbers.items()} | {"dim": math.log2(problem.dim)}


def _stack(problem: Problem, size: int | str) -> ReplicaStack:
    """A fit of the problem that has not begun."""
    (network, shape), (task, arguments) = problem.network, problem.task
    made = ReplicaModule(
        partial(getattr(svl.models, network), **shape),
        LOSSES[problem.loss](),
        getattr(svl.optim, problem.optimizer)(lr=problem.rates[len(problem.rates) // 2]),
        replicas=Replicas(seeds=SEEDS, first_seed=1000),
        compile="never",
    )
    common: dict[str, Any] = {"test_size": 256} if problem.stored is None else {}
    data = Subset(getattr(svl.tasks, task)(**arguments), size, batch_size=problem.batch, **common)
    made.prepare(data, 2 * STEPS, STEPS)
    return made.stack


def _weights(stack: ReplicaStack) -> dict[str, tuple[int, int]]:
    """The places of the weight matrices, from the input layer to the output layer."""
    places = stack.spec.packing.places()
    return {name: places[name] for name, p in stack.parameters_by_name().items() if p.dim() >= 3}


def _norm_ratio(stack: ReplicaStack) -> Float[Tensor, "replica"]:
    norms = [p.flatten(1).norm(dim=1) for p in stack.parameters_by_name().values() if p.dim() >= 3]
    return norms[-1] / norms[0]
