"""Replays a compiled function as one CUDA graph, which the GPU launches faster than Python launches its kernels.

A step of a small network is dozens of kernels of a few microseconds each, and launching one from Python takes about as
long as running it. A block's tensors stay at their places from step to step, so that the kernels of a step can be
recorded once and launched together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Sequence[Tensor]]
Record = Callable[[Callable[[], Sequence[Tensor]]], tuple[Callable[[], Any], Sequence[Tensor]]]

_CALLS = 8
"""Calls that are timed of each of the two."""
_TOLERANCE = 1e-3
"""By which a replay may differ from a call, relative to each tensor's norm: sums by atomic operations differ."""


class Replay:
    """A function of some scalar tensors and of tensors that stay the same, recorded once.

    Args:
        replay: launches what was recorded.
        given: the scalar tensors that the recorded kernels read.
        results: the tensors that they write the function's results to.
    """

    def __init__(self, replay: Callable[[], Any], given: list[Tensor], results: Sequence[Tensor]) -> None:
        self._replay, self._given, self._written = replay, given, results

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The results for other scalars; ``tensors`` are these, followed by those that stay the same."""
        for given, tensor in zip(self._given, tensors, strict=False):
            given.copy_(tensor)
        self._replay()
        return tuple(result.clone() for result in self._written)


def on_gpu(function: Callable[[], Sequence[Tensor]]) -> tuple[Callable[[], None], Sequence[Tensor]]:
    """Call a function, then record it; returns what launches it again, and the tensors that it writes to."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function()  # on the stream of the recording, for which the libraries then have their workspaces
    # One pool of memory for all: no two graphs run at once, and their results are copied before the next one runs.
    options = {"pool": _pool(), "stream": stream, "capture_error_mode": "thread_local"}
    with torch.cuda.graph(graph, **options):
        results = function()
    torch.cuda.current_stream().wait_stream(stream)
    return graph.replay, results


@cache
def _pool() -> Any:
    return torch.cuda.graph_pool_handle()


def replayed(
    function: Function,
    more: Sequence[Tensor],
    changing: Sequence[Tensor],
    fixed: Sequence[Tensor] = (),
    record: Record = on_gpu,
) -> Replay | None:
    """The function as a graph; ``None`` where calling it is as fast.

    One call and one replay from the same tensors are compared first, and some of each are timed. All tensors have
    their values again afterwards.

    Args:
        function: takes ``more``, ``changing`` and ``fixed``.
        more: scalar tensors, which are others at each call.
        changing: tensors that are the same at each call, and which the function changes in place.
        fixed: tensors that are the same at each call, which it only reads.
        record: makes the graph.

    Raises:
        RuntimeError: if the function cannot be recorded, or the replay computes something else.
    """
    inputs = (*changing, *fixed)
    if len({tensor.device for tensor in (*more, *inputs)}) > 1:
        # The value of a tensor on the CPU would be recorded, and be the same in every replay.
        raise RuntimeError("its tensors are on several devices")
    before = [tensor.clone() for tensor in changing]

    def put_back() -> None:
        for tensor, value in zip(changing, before, strict=True):
            tensor.copy_(value)

    def seconds(call: Callable[..., Any]) -> float:
        _wait(more)
        began = time.perf_counter()
        for _ in range(_CALLS):
            call(*more, *inputs)
        _wait(more)
        return time.perf_counter() - began

    given = [tensor.clone() for tensor in more]
    try:
        expected = [*function(*more, *inputs), *(tensor.clone() for tensor in changing)]
        put_back()
        launch, results = record(lambda: function(*given, *inputs))
        replay = Replay(launch, given, results)
        put_back()
        found = [*replay(*more, *inputs), *changing]
        if not all(map(_is_close, found, expected)):
            raise RuntimeError("the graph computes something else")
        return replay if seconds(replay) < seconds(function) else None
    finally:
        put_back()


def _is_close(found: Tensor, expected: Tensor) -> bool:
    if not found.is_floating_point():
        return torch.equal(found, expected)
    finite = expected.isfinite()
    if not torch.equal(finite, found.isfinite()):
        return False
    difference = (found - expected)[finite].norm()
    return bool(difference <= _TOLERANCE * expected[finite].norm() + 1e-12)


def _wait(tensors: Sequence[Tensor]) -> None:
    if any(tensor.is_cuda for tensor in tensors):
        torch.cuda.synchronize()
