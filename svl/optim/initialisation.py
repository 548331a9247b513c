"""Initial weights: the network's own (PyTorch default) or Gaussian, from a replica's seed alone."""

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
        build: makes the plain network; its own constructor initialises it.
        seed: the replica's seed.
        init: ``pytorch`` keeps what the constructor drew (uniform, bound 1/sqrt(fan_in), for linear layers; Liu et al.
            2026, section 3). ``gaussian`` draws weights N(0, 1/fan_in) and sets biases to zero.
    """
    word, more = random.fold(random.key(seed), "init").tolist()
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed every GPU.
        torch.default_generator.manual_seed(word << 31 | more >> 1)
        network = build()
        if init == "gaussian":
            for name, parameter in network.named_parameters():
                _gaussian(name, parameter)
    return network


@torch.no_grad()
def _gaussian(name: str, parameter: Float[Tensor, "..."]) -> None:
    if parameter.dim() >= 2:
        parameter.normal_(std=1 / math.sqrt(math.prod(parameter.shape[1:])))
    elif name.rsplit(".", 1)[-1] == "bias":
        parameter.zero_()
