"""Initial weights of a network, from a replica's seed alone: those of its constructor, or Gaussian."""

from __future__ import annotations

import math
import random as python_random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svl import random

Initialisation = Literal["pytorch", "gaussian"]
INITIALISATIONS = ("pytorch", "gaussian")


def initial_network(
    build: Callable[[], nn.Module],
    seed: int,
    init: Initialisation = "pytorch",
    watch: AbstractContextManager[object] | None = None,
) -> nn.Module:
    """The network of one replica before training: ``build()`` with all generators seeded by the replica's key.

    These are the global generators of torch (on the CPU), NumPy and Python's ``random``, which are put back afterwards.

    Args:
        build: builds the network of one replica; its constructor initialises it.
        seed: the replica's seed.
        init: ``pytorch`` keeps the weights that the constructor drew (for linear layers uniform with bound
            1/sqrt(fan_in); Liu et al. 2026, section 3). ``gaussian`` draws weights N(0, 1/fan_in) and sets
            biases to zero.
        watch: a context in which the network is built and its weights are drawn.
    """
    key = random.key(seed)
    first, second = random.fold(key, "init").tolist()
    with kept_generators():
        # torch.manual_seed would also seed every GPU.
        torch.default_generator.manual_seed(int(generator_seed(key)))
        np.random.seed(first)  # noqa: NPY002 (the global generator is what a constructor may draw from)
        python_random.seed(first << 32 | second)
        with watch or nullcontext():
            network = build()
            if init == "gaussian":
                for name, parameter in network.named_parameters():
                    _draw_gaussian(name, parameter)
    return network


def generator_seed(key: Int[Tensor, "*replica 2"]) -> Int[Tensor, "*replica"]:
    """The seed of torch's generator with which a replica's initial weights are drawn."""
    halves = random.fold(key, "init")
    return halves[..., 0] << 31 | halves[..., 1] >> 1


@contextmanager
def kept_generators() -> Iterator[None]:
    """A context after which torch's CPU generator, NumPy's and Python's global ones are as they were."""
    numpy_state, python_state = np.random.get_state(), python_random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        python_random.setstate(python_state)


@torch.no_grad()
def _draw_gaussian(name: str, parameter: Float[Tensor, "..."]) -> None:
    if parameter.dim() >= 2:
        parameter.normal_(std=1 / math.sqrt(math.prod(parameter.shape[1:])))
    elif name.rsplit(".", 1)[-1] == "bias":
        parameter.zero_()
