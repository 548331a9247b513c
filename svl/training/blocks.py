"""Blocks of replicas: how a stack is cut so that a block fits a core's cache, and how blocks run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from svl.compat.torch import pytree

CONSTANT = ("settings", "hyper", "interventions", "frozen", "key", "constants")
"""The parts of a block's tensors that no step changes."""


@dataclass(frozen=True)
class StepRange:
    """Consecutive steps that are computed in the same way, up to the next range.

    Attributes:
        first: number of the first step.
        micro_batches: of each step.
        is_population: whether these are the whole enumerated population.
    """

    first: int
    micro_batches: int
    is_population: bool


@dataclass(eq=False)
class Block:
    """Replicas that are trained together: a slice of the stack.

    Attributes:
        rows: which replicas.
        tensors: their part of everything that a step reads or writes, a nest of dicts of views into the stack.
        ranges: of steps, in order.
        flat: the tensors, without the nest.
        layout: shapes and strides of these. Code compiled for a block serves those of the same layout: it does not
            check where in memory a tensor's numbers are.
    """

    rows: slice
    tensors: dict[str, Any]
    ranges: tuple[StepRange, ...]
    flat: list[Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.flat, self._structure = pytree.tree_flatten(self.tensors)
        self.layout = tuple(map(_layout, self.flat))
        self.is_constant = [part in CONSTANT for part, nest in self.tensors.items() for _ in pytree.tree_leaves(nest)]

    def copy(self) -> Block:
        """The same replicas at the same point of training, whose steps leave this block as it is.

        What no step changes is shared. A copy of a tensor with strides of 0 would have another layout.
        """
        copied = [
            tensor if fixed else tensor.clone() for tensor, fixed in zip(self.flat, self.is_constant, strict=True)
        ]
        return Block(self.rows, self.nest(copied), self.ranges)

    def range_of(self, step: int) -> StepRange:
        """The range that a step lies in."""
        return [steps for steps in self.ranges if steps.first <= step][-1]

    def nest(self, flat: list[Tensor]) -> dict[str, Any]:
        """The nest of dicts that a flat list stands for."""
        return pytree.tree_unflatten(flat, self._structure)


def _layout(tensor: Tensor) -> tuple[tuple[int, int], ...]:
    """Size and stride of each dimension; where there is one number only, the stride says nothing."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tuple((size, stride if size > 1 else 0) for size, stride in sizes)


def partition(lengths: Iterable[int], target: int) -> list[slice]:
    """Contiguous blocks of about ``target`` replicas that do not cross a boundary between runs.

    Blocks of one run are of one size where the run has a divisor in [target / 2, target], so that one compiled step
    serves all of them.

    Args:
        lengths: replicas in each run of replicas that can share a block.
        target: replicas that a block should have.
    """
    blocks, start = [], 0
    for length in lengths:
        target_here = min(target, length)
        divisors = [d for d in range(target_here, max(target_here // 2, 1) - 1, -1) if length % d == 0]
        size = divisors[0] if divisors else -(-length // -(-length // target_here))
        blocks += [slice(lo, min(lo + size, start + length)) for lo in range(start, start + length, size)]
        start += length
    return blocks


def view(tree: Any, block: slice) -> Any:
    """The block's rows of every tensor in a nest of dicts, as views that share memory."""
    return pytree.tree_map(lambda tensor: tensor[block], tree)


class BlockRunner:
    """Runs one function per block, blocks side by side on the cores.

    Args:
        blocks: number of blocks.
        threads: cores to use; all that torch would use if ``None``.
        is_small: whether a block is too little work to be divided between cores.
    """

    def __init__(self, blocks: int, threads: int | None = None, is_small: bool = False) -> None:
        available = self._available = threads or torch.get_num_threads()
        self.workers = max(1, min(blocks, available))
        self._intra_op = 1 if is_small else max(1, available // self.workers)
        # The number of threads is a setting of each thread.
        pool = ThreadPoolExecutor(self.workers, initializer=torch.set_num_threads, initargs=(self._intra_op,))
        self._pool = pool if self.workers > 1 else None

    def run(self, function: Callable[[int], None], blocks: int, in_turn: bool = False, is_eager: bool = False) -> None:
        """Call ``function(block)`` for every block; the first error is raised.

        Args:
            in_turn: run one block after the other, for calls that may compile: the compiler is not thread-safe.
            is_eager: run one block after the other, each with all cores: eager calls swap the parameters of one shared
                network.
        """

        def run_block(block: int) -> None:
            with torch.no_grad():
                function(block)

        before = torch.get_num_threads()
        torch.set_num_threads(self._available if is_eager else self._intra_op)
        try:
            if self._pool is None or in_turn or is_eager:
                for block in range(blocks):
                    run_block(block)
            else:
                list(self._pool.map(run_block, range(blocks)))
        finally:
            torch.set_num_threads(before)
