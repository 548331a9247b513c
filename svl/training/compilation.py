"""Compiling a function of a block once for each set of shapes.

``torch.compile`` checks at every call that its many inputs are still what they were, under a lock, and counts frames in
globals; blocks that run side by side need none of that, since a stack's tensors never change shape. So the function is
traced once by ``make_fx`` and handed to the same backend, whose cache on disk serves the next run.
"""

from __future__ import annotations

import shutil
import sysconfig
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils import _pytree as pytree


@dataclass
class Block:
    """Replicas that are trained together: a slice of the stack.

    Attributes:
        rows: which replicas.
        tensors: their part of everything a step reads or writes, a nest of dicts of views into the stack.
        micro_batches: of each step.
    """

    rows: slice
    tensors: dict[str, Any]
    micro_batches: int
    flat: list[Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.flat, self._structure = pytree.tree_flatten(self.tensors)
        self.shapes = tuple(tensor.shape for tensor in self.flat)

    def nest(self, flat: list[Tensor]) -> dict[str, Any]:
        """The nest of dicts that a flat list stands for."""
        return pytree.tree_unflatten(flat, self._structure)


class BlockFunction:
    """``function(tensors, *more)`` of a block's tensors and some scalar tensors, compiled or eager.

    Args:
        function: changes ``tensors`` in place and returns a tuple of tensors.
        is_compiled: whether to compile; the first call for a set of shapes does it, and must be the only call then.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], is_compiled: bool) -> None:
        self.function, self.is_compiled = function, is_compiled
        self._compiled: dict[Any, Callable[..., tuple[Tensor, ...]]] = {}

    def __call__(self, block: Block, *more: Tensor) -> tuple[Tensor, ...]:
        if not self.is_compiled:
            return self.function(block.tensors, *more)
        if block.shapes not in self._compiled:
            self._compiled[block.shapes] = self._compile(block, more)
        return self._compiled[block.shapes](*more, *block.flat)

    def _compile(self, block: Block, more: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor, ...]]:
        def flat_function(*tensors: Tensor) -> tuple[Tensor, ...]:
            return self.function(block.nest(list(tensors[len(more) :])), *tensors[: len(more)])

        inputs: list[Any] = [*more, *block.flat]
        # Fake tensors: tracing must not train.
        graph = make_fx(flat_function, tracing_mode="fake")(*inputs)
        # The backend caches on disk only what was traced under a shape environment.
        with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv()))):
            options = {"cpp.threads": 1, "size_asserts": False, "alignment_asserts": False}
            return torch._inductor.compile(graph, inputs, options=options)


def can_compile() -> bool:
    """Whether a C++ compiler and Python's headers are at hand for the compiled step; a GPU brings its own (Triton)."""
    if torch.cuda.is_available():
        return True
    from torch._inductor.cpp_builder import get_cpp_compiler

    include = sysconfig.get_path("include")
    if " " in torch.__file__ + include:  # torch's own linker command does not quote its paths
        return False
    try:
        return shutil.which(get_cpp_compiler()) is not None and Path(include, "Python.h").is_file()
    except Exception:  # the compiler search raises errors of several unrelated kinds
        return False


def warn_eager() -> None:
    """One line that says why the fit is slow."""
    message = "no C++ compiler with Python's headers found: training runs in eager mode, several times slower"
    # Line 0 has no source text, which Python would otherwise print as a second line.
    warnings.warn_explicit(message, UserWarning, "svl", 0)
