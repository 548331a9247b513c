"""The base class of callbacks that measure something of every replica."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from svl.errors import SettingError
from svl.training.forward import Forward, kernels
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_MAX_INPUT_NUMBERS = 2**18


class Measurement(pl.Callback, ABC):
    """Measures something of every replica in Lightning's validation: columns of the history.

    :meth:`measure` is called at the end of each validation epoch that is a measurement: at step 0, at regular
    intervals and at the last step of a fit, and in ``svl validate``. The trainer's loggers get the means.

    Attributes:
        metrics: names of the columns if they are always the same; otherwise override :meth:`names`.
    """

    metrics: ClassVar[tuple[str, ...]] = ()

    def names(self, module: ReplicaModule) -> Sequence[str]:
        """Names of the columns; called before training, so that ``target.metric`` can name one of them.

        Raises:
            SettingError: if the measurement does not apply to this network or task.
        """
        return self.metrics

    @abstractmethod
    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        """The metrics by name, with one number for each replica."""

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.is_measuring:
            # As in the module's own validation: what is made here may be trained later.
            with torch.inference_mode(False), torch.no_grad():
                measured = self.measure(pl_module)
            pl_module.add_measured(type(self).__name__, self.names(pl_module), measured)

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.on_validation_epoch_end(trainer, pl_module)


def test_examples(stack: ReplicaStack, count: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of each replica's first ``count`` test examples, or of all if there are fewer."""
    return stack.data.test_batch(stack.settings, stack.key, 0, min(count, stack.data.test_size))


def forward(stack: ReplicaStack, inputs: Tensor, read: Callable[[Tensor], Any] = lambda outputs: outputs) -> Any:
    """A forward pass of each replica on its own inputs; results are stacked along a first replica axis.

    Args:
        stack: the replicas.
        inputs: ``[replica, batch, *input_shape]``.
        read: function applied to one replica's outputs ``[batch, ...]``; by default the outputs are returned.
    """
    contents, state = stack.spec.contents, stack.state
    if contents.is_random_in_tests:
        name = type(stack.spec.network).__name__
        raise SettingError("trainer.callbacks", name, "callbacks that call no network which draws random numbers")
    call = Forward(stack.network, contents)

    def forward_replica(tensors: dict[str, Tensor], inputs: Tensor) -> Any:
        return read(call.outputs(tensors, inputs))

    tensors = stack.parameters_by_name() | state.buffers | state.constants
    chunk_size = max(1, _MAX_INPUT_NUMBERS // inputs[0].numel())
    call.set_mode(trains=False)
    try:
        with torch.no_grad(), kernels(inputs.device, contents):
            return vmap(forward_replica, chunk_size=chunk_size)(tensors, inputs)
    finally:
        call.set_mode(trains=True)
