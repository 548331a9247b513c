"""A call of the plain network with the tensors of each replica: parameters, buffers, mode and random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from svl import random
from svl.compat.torch import unfused_recurrence
from svl.training.attention import FoldedAttention
from svl.training.contents import Contents
from svl.training.draws import Draws


class Forward:
    """The plain network as a pure function of one replica's tensors, to be mapped over the replicas.

    In training, modules have the mode in which the constructor left them (which is training mode, unless it called
    ``eval``); elsewhere all of them are in evaluation mode.

    Args:
        network: the plain network, whose parameters and buffers are swapped for each replica's.
        contents: what it holds and does.

    Attributes:
        draws: the last call's random numbers, if it had any.
    """

    def __init__(self, network: nn.Module, contents: Contents) -> None:
        self.network, self.contents = network, contents
        self._modes = [(module, module.training) for module in network.modules()]
        self._trains = True
        self.draws: Draws | None = None

    def set_mode(self, trains: bool) -> None:
        """Put all modules into the modes of training, or into evaluation mode."""
        if trains != self._trains:
            for module, training in self._modes:
                module.training = training and trains
            self._trains = trains

    @contextmanager
    def mode(
        self,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""] | None = None,
        purpose: str = "",
    ) -> Iterator[Callable[..., Any]]:
        """A context for calls of the network, and ``vmap`` over the replicas in it.

        Args:
            key: of each replica, from which random numbers are drawn.
            step: number of the step, or of the first test example.
            micro: number of the micro-batch; ``None`` for evaluation mode.
            purpose: what the call is for, where a step calls the network for several batches.
        """
        trains = micro is not None
        self.set_mode(trains)
        contents = self.contents
        if not (contents.is_random if trains else contents.is_random_in_tests):
            yield vmap
            return
        key = random.fold(key, f"network/{purpose or ('training' if trains else 'test')}")
        with Draws(key, step, 0 if micro is None else micro) as self.draws:
            yield lambda function, in_dims=0: vmap(function, in_dims, randomness="different")

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One replica's outputs, and the buffers that the call has changed.

        Args:
            tensors: parameters and buffers by name, of which no one is changed.
            inputs: ``[batch, *input_shape]``.
        """
        contents = self.contents
        if contents.changes_inputs:
            inputs = inputs.clone()
        if contents.changing:
            tensors = tensors | {name: tensors[name].clone() for name in contents.changing}
        outputs = read(functional_call(self.network, tensors, (inputs,)), contents.readout)
        return outputs, {name: tensors[name] for name in contents.changing}

    def outputs(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """One replica's outputs, where no gradient is taken of them."""
        if not self.contents.is_recurrent:
            return self(tensors, inputs)[0]
        floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
        outputs: Tensor = vjp(lambda floating: self(tensors | floating, inputs)[0], floating)[0]
        return outputs


def read(result: Any, readout: str | int | None) -> Any:
    """The outputs in what a network returned."""
    if readout is None:
        return result
    if isinstance(readout, str) and hasattr(result, readout):
        return getattr(result, readout)
    return result[readout]


@contextmanager
def kernels(device: torch.device, contents: Contents) -> Iterator[None]:
    """A context with the kernels of attention and of recurrent layers to use inside vmap.

    PyTorch would call its fused attention replica by replica: on a GPU one call takes them all, and on a CPU plain
    attention is as fast. What fuses dropout draws from torch's generator; and neither the fused encoder layer of
    evaluation mode nor fused recurrent layers can be mapped.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    before = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel([SDPBackend.MATH]))
        if device.type == "cuda" and not contents.is_random:
            stack.enter_context(FoldedAttention())
        stack.callback(torch.backends.mha.set_fastpath_enabled, before)
        torch.backends.mha.set_fastpath_enabled(False)
        if contents.is_recurrent:
            stack.enter_context(unfused_recurrence())
        yield
