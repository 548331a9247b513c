"""How much one call computes: replicas of a block, examples of a micro-batch, test examples at once."""

from __future__ import annotations

import torch

from svl.training import memory
from svl.training.block_plan import replicas_per_thread
from svl.training.routes.mlp_kernel import STRIP, MLPKernel
from svl.training.routes.route import BatchRoute
from svl.training.routes.transformer_kernel import TransformerKernel
from svl.training.spec import StackSpec

# Activations of a block, 2.4 MB: what a core has cache for. With an eighth of them the call itself takes half the time.
NUMBERS_PER_BLOCK, _LEAST_SHARE = 600_000, 8
_NUMBERS_PER_CALL_OF_GPU = 2**24  # for which a GPU takes a few milliseconds without compilation, as a core for a block
_REPLICAS_PER_CALL = 64, 512  # of the C++ loop, at least and at most
_LEAST_PER_CALL = 8  # whose steps take about as long as drawing the indices of a step


def _numbers(spec: StackSpec) -> int:
    """Numbers that one example of one replica has, in the network and outside."""
    return spec.activations + spec.example_size


def cost(spec: StackSpec, device: torch.device, replicas: int, examples: int) -> int:
    """For how many calls a call counts when it is decided what is worth compiling: one that takes as long as a core's.

    A GPU trains all replicas in one call, whose work, and not the number of calls, decides.
    """
    if device.type == "cpu":
        return 1
    return max(1, replicas * examples * _numbers(spec) // _NUMBERS_PER_CALL_OF_GPU)


def examples_at_once(spec: StackSpec, device: torch.device, has_kernel: bool) -> int:
    """At most so many examples has a micro-batch, where a strategy is free to choose."""
    if device.type == "cpu":
        return NUMBERS_PER_BLOCK // (spec.example_size if has_kernel else spec.activations)
    return max(1, memory.numbers_at_once(device) // (_numbers(spec) * spec.replicas))


def evaluation_rows(spec: StackSpec, device: torch.device, replicas: int) -> int:
    """Test examples that are measured at once, for a block of so many replicas."""
    rows = spec.evaluation_rows
    if device.type == "cpu" or spec.contents.mixes_tests:
        return rows
    most = max(1, memory.numbers_at_once(device) // (_numbers(spec) * replicas))
    return min(rows, 1 << (most.bit_length() - 1))


def replicas_per_block(spec: StackSpec, device: torch.device, micro: int, kernel: type[BatchRoute] | None) -> int:
    """As many as a core's cache holds, but at least a block for each core where the work is worth it.

    Args:
        micro: examples of a micro-batch.
        kernel: computes the gradients, where it is one in C++.
    """
    if device.type != "cpu":
        return max(1, min(spec.replicas, memory.numbers_at_once(device) // (micro * _numbers(spec))))
    numbers = micro * spec.activations
    if kernel is TransformerKernel:  # whose call takes long, and which holds a few sequences of one replica
        return max(1, min(NUMBERS_PER_BLOCK // (micro * spec.example_size), replicas_per_thread(spec)))
    if kernel is MLPKernel:  # which holds the activations of a strip of examples alone
        numbers = max(min(micro, STRIP) * spec.activations, micro * spec.example_size)
    most = max(1, NUMBERS_PER_BLOCK // numbers)
    return min(most, max(replicas_per_thread(spec), most // _LEAST_SHARE, 1))


def replicas_per_call(spec: StackSpec) -> int:
    """Replicas of a block of the C++ loop: enough that the call itself takes little time, and blocks for each core.

    The loop has one replica at a time in a core's cache, so that a block can have any number.
    """
    least, most = _REPLICAS_PER_CALL
    share = replicas_per_thread(spec)
    return max(_LEAST_PER_CALL, min(share, max(least, min(most, share // 4))))
