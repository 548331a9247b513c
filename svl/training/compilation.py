"""Compiles a function of a block once for each layout: shapes and strides of its tensors.

At every call ``torch.compile`` checks the properties of all inputs, under a lock, and it counts frames in global state.
Blocks run in several threads, and the tensors of a stack never change shape, so these checks would only cost time.
Therefore the function is traced once (:func:`svl.compat.torch.trace`). What is the same at every step is split off
(:func:`hoist`), and the rest is compiled by the backend of ``torch.compile``, whose cache on disk is used again by the
next run.
"""

from __future__ import annotations

import copy
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from svl.compat.torch import InductorError, compile_graph, cpp_compiler, schema, trace
from svl.signals import ended_by_signals
from svl.training import cuda_graph
from svl.training.blocks import Block

OWN = "svl"
"""The place in the code that svl's own warnings name; the command line prints them without it."""
_SMALLER_FUSIONS = (4, 1)
_MOST_GRAPHS = 32
"""CUDA graphs of one function: each keeps its kernels' arguments on the GPU."""


class BlockFunction:
    """A function of a block's tensors and some scalar tensors, ``function(tensors, *more)``, compiled or eager.

    Args:
        function: changes ``tensors`` in place and returns a tuple of tensors.
        is_compiled: whether to compile. The first call for a layout compiles; no other call may run meanwhile.
        holds_last: whether values that depend only on constants and the last tensor of ``more`` are computed once for
            each such tensor, and kept.
        least_nodes: a traced function of fewer operations is run as it is: compiling it takes longer than it saves.
        is_replayed: whether the compiled function is replayed as a CUDA graph where that is faster
            (:mod:`svl.training.cuda_graph`).

    Attributes:
        has_failed: whether the compiler has failed, so that the function is run as it was traced.
    """

    def __init__(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        is_compiled: bool,
        holds_last: bool = False,
        least_nodes: int = 0,
        is_replayed: bool = False,
    ) -> None:
        self.function, self.is_compiled, self.holds_last = function, is_compiled, holds_last
        self.least_nodes, self.is_replayed, self.has_failed = least_nodes, is_replayed, False
        self._by_layout: dict[Any, tuple[GraphModule, Callable[..., tuple[Tensor, ...]]]] = {}
        self._by_call: dict[Any, tuple[Callable[..., tuple[Tensor, ...]], list[Tensor]]] = {}

    def __call__(self, block: Block, *more: Tensor) -> tuple[Tensor, ...]:
        if not self.is_compiled:
            return self.function(block.tensors, *more)
        more, held = (more[:-1], more[-1:]) if self.holds_last else (more, ())
        call = (block, *held)
        if call not in self._by_call:
            self._by_call[call] = self._prepare(block, more, held)
        compiled, inputs = self._by_call[call]
        return tuple(compiled(*more, *inputs))

    def _prepare(
        self, block: Block, more: tuple[Tensor, ...], held: tuple[Tensor, ...]
    ) -> tuple[Callable[..., tuple[Tensor, ...]], list[Tensor]]:
        """The compiled function and its inputs after ``more``, for one block."""
        graph = None
        if block.layout not in self._by_layout:
            graph = self._trace(block, more + held)
            constants, graph = hoist(graph, [*(False for _ in more), *(True for _ in held), *block.is_constant])
        else:
            constants, compiled = self._by_layout[block.layout]
        changing = [tensor for tensor, fixed in zip(block.flat, block.is_constant, strict=True) if not fixed]
        fixed = [tensor for tensor, fixed in zip(block.flat, block.is_constant, strict=True) if fixed]
        inputs = [*changing, *constants(*held, *fixed)]
        if graph is not None:
            calls = sum(node.op == "call_function" for node in graph.graph.nodes)
            is_short = calls < self.least_nodes
            compiled = graph if is_short else _compile(graph, [*more, *inputs], torch.get_num_threads())
            self.has_failed |= compiled is graph and not is_short
            self._by_layout[block.layout] = constants, compiled
        if self.is_replayed and len(self._by_call) < _MOST_GRAPHS:
            compiled = _as_graph(compiled, more, changing, inputs[len(changing) :])
        return compiled, inputs

    def _trace(self, block: Block, more: tuple[Tensor, ...]) -> GraphModule:
        def flat_function(*tensors: Tensor) -> tuple[Tensor, ...]:
            return self.function(block.nest(list(tensors[len(more) :])), *tensors[: len(more)])

        return trace(flat_function)(*more, *block.flat)


def hoist(graph: GraphModule, is_constant: list[bool]) -> tuple[GraphModule, GraphModule]:
    """Split a traced function into a part that depends only on constant inputs, and the rest.

    More than half of a step's operations give the same result at every step, such as keys of streams, supports and
    grids. They need to be neither compiled nor run again.

    Args:
        graph: a traced function without side effects, except in-place operations on inputs that are not constant.
        is_constant: for each input, whether it is constant.

    Returns:
        A function of the constant inputs, and a function of the other inputs followed by the outputs of the first.
    """
    nodes = list(graph.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    constant = {node for node, fixed in zip(inputs, is_constant, strict=True) if fixed}
    written = _written(nodes)
    for node in nodes:
        # A tensor that the step creates and then writes to, or draws at random, is a new tensor at every step.
        if node in written or torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            continue
        if node.op == "get_attr" or (node.op == "call_function" and constant.issuperset(node.all_input_nodes)):
            constant.add(node)
    needed = [node for node in nodes if node in constant and any(user not in constant for user in node.users)]

    first, second = Graph(), Graph()
    copied: dict[Node, Node] = {}
    for node in nodes:
        if node in constant:
            copied[node] = first.node_copy(node, copied.__getitem__)
    first.output(tuple(copied[node] for node in needed))
    moved = {node: second.node_copy(node) for node in inputs if node not in constant}
    moved |= {node: second.placeholder(f"constant_{number}") for number, node in enumerate(needed)}
    for node in nodes:
        if node not in constant and node not in moved:
            moved[node] = second.node_copy(node, moved.__getitem__)
    return GraphModule(graph, first), GraphModule(graph, second)


def _written(nodes: list[Node]) -> set[Node]:
    """Nodes whose memory an in-place operation changes, directly or through a view."""
    written: set[Node] = set()
    for node in nodes:
        signature = schema(node.target)
        if signature is None or not signature.is_mutable:
            continue
        changed = [a for a, argument in zip(node.args, signature.arguments, strict=False) if _is_written(argument)]
        written.add(node)
        while changed:
            source = changed.pop()
            if isinstance(source, Node) and source not in written:
                written.add(source)
                changed += source.all_input_nodes[:1]  # the tensor whose memory a view shares
    return written


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _compile(graph: GraphModule, inputs: list[Tensor], threads: int) -> Callable[..., tuple[Tensor, ...]]:
    # Kernels of many unrelated outputs take long to compile and are no faster.
    options: dict[str, Any] = {"cpp.max_horizontal_fusion_size": 4}
    options |= {"cpp.threads": threads, "size_asserts": False, "alignment_asserts": False}
    for fusion in ({}, *({"max_fusion_size": size} for size in _SMALLER_FUSIONS)):
        try:
            # In a team the others would wait for a process that a signal has ended alone.
            with warnings.catch_warnings(), nullcontext() if torch.distributed.is_initialized() else ended_by_signals():
                warnings.simplefilter("ignore", FutureWarning)  # torch's compiler calls deprecated functions of torch
                return compile_graph(copy.deepcopy(graph), inputs, options | fusion)
        except InductorError as error:
            # Some fusions of operations that write to their inputs break the backend; smaller ones are a little slower.
            reason = _reason(str(error))
        except OSError as error:
            reason = str(error)
            break
    warn(f"torch could not compile the training step, which runs in eager mode, several times slower ({reason})")
    return graph


def _as_graph(
    compiled: Callable[..., tuple[Tensor, ...]], more: tuple[Tensor, ...], changing: list[Tensor], fixed: list[Tensor]
) -> Callable[..., tuple[Tensor, ...]]:
    """The compiled function as a CUDA graph where that is faster, else as it is."""
    try:
        return cuda_graph.replayed(compiled, more, changing, fixed) or compiled
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        warn(f"no CUDA graph could be made of a training step, whose kernels Python launches ({reason})")
        return compiled


def _reason(text: str) -> str:
    """Why a compiler has failed: the first error that the C++ compiler found, else the first line."""
    found = next((line for line in text.splitlines() if "error: " in line), None)
    return f"C++: {found.partition('error: ')[2].strip()}" if found else text.splitlines()[0]


def can_compile() -> bool:
    """Whether a step can be compiled: this needs a C++ compiler and Python's headers.

    On a GPU, Triton compiles what launches its kernels.
    """
    include = sysconfig.get_path("include")
    if " " in torch.__file__ + include:  # torch's own linker command does not quote its paths
        return False
    try:
        return shutil.which(cpp_compiler()) is not None and Path(include, "Python.h").is_file()
    except Exception:  # the compiler search raises errors of several unrelated kinds
        return False


def warn_eager() -> None:
    """Warn that the fit is slow, because it is not compiled."""
    warn("no C++ compiler with Python's headers found: training runs in eager mode, several times slower")


def warn(message: str) -> None:
    """Show a warning of one line on standard error."""
    # Line 0 has no source text, which Python would otherwise print as a second line.
    warnings.warn_explicit(message, UserWarning, OWN, 0)
