"""Several steps of a block in one launch of a CUDA kernel, in which a warp trains a replica.

The kernel is ``svl/native/warp.cu``. It is compiled by NVRTC, which PyTorch brings, for the shapes of the fit, and used
only if it gives the same results as the eager step (:meth:`~.triton.TritonSteps.agrees`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svl import native
from svl.compat.torch import cuda_kernel
from svl.data.online import Online
from svl.training.blocks import Block
from svl.training.routes.route import StepRoute, Tick
from svl.training.routes.triton import LOSSES, TritonSteps, serves
from svl.training.spec import StackSpec

SOURCE = Path(native.__file__).with_name("warp.cu")
_LEAST_CAPABILITY = (8, 0)  # whose tensor cores have tf32
_WARPS, _BLOCKS = 4, 2  # replicas of a thread block, and thread blocks of a processor that the registers leave room for
_MOST_INPUTS, _MOST_UNITS = 24, 64


class WarpSteps(TritonSteps):
    """Several steps of a block in one launch, a warp a replica."""

    name = "CUDA kernel"
    word = "warp"

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        """The route for these blocks; if it does not agree with the steps of the fallback, the Triton kernel."""
        started = super().start(spec, fallback, blocks)
        if started is not fallback or TritonSteps.obstacle(spec, blocks[0].tensors["key"].device) is not None:
            return started
        return TritonSteps.start(spec, fallback, blocks)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        if not spec.execution.fused:
            return "model.fused is false"
        reason = _cannot_run(device)
        if reason:
            return reason
        if not serves(spec):
            return "it trains 2-layer ReLU networks on parity with SGD, with one batch per step"
        dim, width, bias = shape(spec)
        if dim + bias > _MOST_INPUTS or width > _MOST_UNITS:
            return f"the registers of a warp hold {_MOST_INPUTS} inputs, with the bias, and {_MOST_UNITS} units"
        return None

    @cached_property
    def defines(self) -> dict[str, int]:
        """What the kernel is compiled with."""
        dim, width, bias = shape(self.spec)
        momentum = any(rule["momentum"].any() for rule in self.spec.hyper.rule.values())
        loss = LOSSES.index(type(self.spec.objective.loss))
        return {"DIM": dim, "WIDTH": width, "BIAS": bias, "MOMENTUM": int(momentum), "LOSS": loss}

    @cached_property
    def _kernel(self) -> Callable[..., None]:
        options = [f"-D{name}={value}" for name, value in (self.defines | tiles()).items()]
        return cuda_kernel(SOURCE.read_text(encoding="utf-8"), "sgd_warp", ["--std=c++17", *options])

    def _launch(self, block: Block, clock: list[Tick], params: Tensor, velocities: Tensor) -> None:
        seed, support, hyper = self._constants[block]
        index = self._drawn(block, clock)
        rates = torch.stack([tick.rate for tick in clock])
        record = [block.tensors["record"][name] for name in ("loss", "correct", "steps", "diverged_at")]
        tensors = [index, rates, seed, support, hyper, params, velocities, *record]
        numbers = [clock[0].number, len(clock), len(params), self.spec.data.batch_size]
        grid, threads = -(-len(params) // _WARPS), 32 * _WARPS
        self._kernel((grid, 1, 1), (threads, 1, 1), [*tensors, *numbers])

    def _drawn(self, block: Block, clock: list[Tick]) -> Tensor | None:
        """The examples' counters ``[step, replica, batch]``; ``None`` for fresh ones, which the kernel counts."""
        if type(self.spec.data) is Online and "behind" not in block.tensors["settings"]:
            return None
        micro = torch.zeros_like(clock[0].step)
        return torch.stack([self._indices(block, number, micro)[0] for _, number, _ in clock])


def shape(spec: StackSpec) -> tuple[int, int, int]:
    """Inputs, units, and 1 for a bias, of a 2-layer network."""
    data: Any = spec.data
    network: Any = spec.network
    first = network.layers[0]
    return data.task.dim, first.out_features, int(first.bias is not None)


def tiles() -> dict[str, int]:
    """How many replicas a thread block has, and how many of these a processor holds, as the kernel is compiled."""
    return {"WARPS": _WARPS, "MINBLOCKS": _BLOCKS}


def _cannot_run(device: torch.device) -> str | None:
    """Why the kernel cannot run on a device, or ``None`` if it can."""
    if device.type != "cuda":
        return f"it runs on a GPU, not on {device.type}"
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return "the GPU has no tensor cores for tf32"
    return None
