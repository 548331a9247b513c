"""The base of callbacks that measure something of every replica."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, vmap

from svl.training.network import attention
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_INPUT_NUMBERS_AT_ONCE = 2**18


class Measurement(pl.Callback, ABC):
    """Adds columns to the history: :meth:`measure` is called every ``trainer.log_every_n_steps`` steps and at step 0.

    Attributes:
        metrics: names of the columns, where they are the same for all networks and tasks.
    """

    metrics: ClassVar[tuple[str, ...]] = ()

    def names(self, module: ReplicaModule) -> Sequence[str]:
        """Names of the columns; asked before training, so that a target can name one.

        Raises:
            SettingError: where there is nothing to measure in this network or task.
        """
        return self.metrics

    @abstractmethod
    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        """The metrics by name, one number per replica."""


def test_examples(stack: ReplicaStack, count: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of each replica's first ``count`` test examples, or of all if there are fewer."""
    return stack.data.test_batch(stack.settings, stack.key, 0, min(count, stack.data.test_size))


def forward(stack: ReplicaStack, inputs: Tensor, read: Callable[[Tensor], Any] = lambda outputs: outputs) -> Any:
    """What ``read`` makes of each replica's outputs for its own inputs, replicas first.

    Args:
        inputs: ``[replica, batch, *input_shape]``.
        read: a function of one replica's outputs ``[batch, ...]``.
    """

    def one(parameters: dict[str, Tensor], inputs: Tensor) -> Any:
        return read(functional_call(stack.network, parameters, (inputs,)))

    at_once = max(1, _INPUT_NUMBERS_AT_ONCE // inputs[0].numel())
    with torch.no_grad(), attention(inputs.device):
        return vmap(one, chunk_size=at_once)(stack.parameters_by_name(), inputs)
