"""Initial weights of a network, from a replica's seed alone: those of its constructor, or Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl import random

Initialisation = Literal["pytorch", "gaussian"]
INITIALISATIONS = ("pytorch", "gaussian")


def initial_network(build: Callable[[], nn.Module], seed: int, init: Initialisation = "pytorch") -> nn.Module:
    """The network of one replica before training: ``build()`` with torch's CPU generator seeded by the replica's key.

    Args:
        build: builds the network of one replica; its constructor initialises it.
        seed: the replica's seed.
        init: ``pytorch`` keeps the weights that the constructor drew (for linear layers uniform with bound
            1/sqrt(fan_in); Liu et al. 2026, section 3). ``gaussian`` draws weights N(0, 1/fan_in) and sets
            biases to zero.
    """
    first, second = random.fold(random.key(seed), "init").tolist()
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed every GPU.
        torch.default_generator.manual_seed(first << 31 | second >> 1)
        network = build()
        if init == "gaussian":
            for name, parameter in network.named_parameters():
                _draw_gaussian(name, parameter)
    return network


@torch.no_grad()
def _draw_gaussian(name: str, parameter: Float[Tensor, "..."]) -> None:
    if parameter.dim() >= 2:
        parameter.normal_(std=1 / math.sqrt(math.prod(parameter.shape[1:])))
    elif name.rsplit(".", 1)[-1] == "bias":
        parameter.zero_()
