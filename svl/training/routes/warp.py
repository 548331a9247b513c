"""Several steps of a block in one launch of a CUDA kernel, in which a warp, or a block of them, trains a replica.

The kernel is ``svl/native/steps.cu``. It is compiled by NVRTC, which PyTorch brings, for the shapes of the fit, and is
used only if it gives the same results as the eager step (:meth:`~.triton.TritonSteps.agrees`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from svl import random
from svl.compat.torch import cuda_kernel
from svl.data.online import Online
from svl.data.subset import Subset
from svl.data.two_sets import TwoSets
from svl.native.cuda import kernel_source
from svl.training.blocks import Block
from svl.training.routes.route import StepRoute, Tick
from svl.training.routes.step_by_step import StepByStep
from svl.training.routes.triton import LOSSES, TritonSteps, serves_batches, serves_fit
from svl.training.spec import StackSpec

_LEAST_CAPABILITY = (8, 0)  # whose tensor cores have tf32
_MOST_INPUTS, _MOST_UNITS = 24, 64
_LARGEST_POOL = 2**31  # below it the kernel computes places with words of 32 bits
GIVEN, FRESH, EPOCHS, REPLACEMENT, TWO_SETS = range(5)  # where the examples' counters come from


class Shape(NamedTuple):
    """A network as the kernels are compiled for it.

    Attributes:
        dim: inputs.
        width: units of each hidden layer.
        bias: 1 with biases, else 0.
        depth: layers of weights.
    """

    dim: int
    width: int
    bias: int
    depth: int = 2

    @classmethod
    def of(cls, spec: StackSpec) -> Shape:
        """That of the network of a fit."""
        data: Any = spec.data
        network: Any = spec.network
        first = network.layers[0]
        return cls(data.task.dim, first.out_features, int(first.bias is not None), len(network.layers))

    @property
    def team(self) -> int:
        """Warps that train one replica: one for 2 layers; for 3 layers one for 16 units, all of a thread block."""
        return 1 if self.depth == 2 else -(-self.width // 16)

    @property
    def warps(self) -> int:
        """Warps of a thread block."""
        return 4 if self.depth == 2 else self.team

    @property
    def blocks(self) -> int:
        """Thread blocks of a processor, whose registers are enough for 8 warps of 255 a thread."""
        return 8 // self.warps

    @property
    def defines(self) -> dict[str, int]:
        """What the kernels are compiled with, besides what depends on the fit."""
        sizes = {"DEPTH": self.depth, "DIM": self.dim, "WIDTH": self.width, "BIAS": self.bias}
        return {**sizes, "WARPS": self.warps, "MINBLOCKS": self.blocks}

    def grid(self, teams: int) -> tuple[int, int, int]:
        """Thread blocks for so many teams."""
        return -(-teams * self.team // self.warps), 1, 1

    @property
    def threads(self) -> tuple[int, int, int]:
        """Of a thread block."""
        return 32 * self.warps, 1, 1


class WarpSteps(TritonSteps):
    """Several steps of a block in one launch, a warp a replica, or a block of warps."""

    name = "CUDA kernel"
    word = "warp"

    def __init__(self, spec: StackSpec, oracle: StepByStep, is_compiled: bool = True) -> None:
        super().__init__(spec, oracle, is_compiled)
        self._pools: dict[Block, Int[Tensor, "replica 4"]] = {}

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        """The route for these blocks; if it does not agree with the steps of the fallback, the Triton kernel."""
        started = super().start(spec, fallback, blocks)
        if started is not fallback or TritonSteps.obstacle(spec, blocks[0].tensors["key"].device) is not None:
            return started
        return TritonSteps.start(spec, fallback, blocks)

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        reason = misfit(spec, device)
        if reason is None and not serves_batches(spec):
            return "each step has one batch of drawn examples"
        return reason

    @cached_property
    def draw(self) -> int:
        """Where the examples' counters come from: the kernel computes those of most strategies itself."""
        data = self.spec.data
        if type(data) is Online and "behind" not in self.spec.settings:
            return FRESH
        if type(data) not in (Subset, TwoSets) or int(self.spec.settings["size"].max()) >= _LARGEST_POOL:
            return GIVEN
        if isinstance(data, TwoSets):
            return TWO_SETS
        assert isinstance(data, Subset)
        if not data.pool.has_finite:
            return FRESH
        return EPOCHS if data.reuse == "epochs" else REPLACEMENT

    @cached_property
    def shape(self) -> Shape:
        """The network's."""
        return Shape.of(self.spec)

    @cached_property
    def defines(self) -> dict[str, int]:
        """What the kernel is compiled with."""
        momentum = any(rule["momentum"].any() for rule in self.spec.hyper.rule.values())
        loss = LOSSES.index(type(self.spec.objective.loss))
        return {**self.shape.defines, "MOMENTUM": int(momentum), "LOSS": loss, "DRAW": self.draw}

    @cached_property
    def kernels(self) -> dict[str, Callable[..., None]]:
        """The kernels by name, as they are compiled for the fit."""
        return {"sgd_steps": compiled("steps", "sgd_steps", self.defines)}

    def _launch(self, block: Block, clock: list[Tick], params: Tensor, velocities: Tensor) -> None:
        seed, support, hyper = self._constants[block]
        if self.draw > FRESH and block not in self._pools:
            self._pools[block] = pools_of(block, self.draw)
        index = self._drawn(block, clock) if self.draw == GIVEN else None
        rates = torch.stack([tick.rate for tick in clock])
        record = [block.tensors["record"][name] for name in ("loss", "correct", "steps", "diverged_at")]
        tensors = [index, self._pools.get(block), rates, seed, support, hyper, params, velocities, *record]
        numbers = [clock[0].number, len(clock), len(params), self.spec.data.batch_size]
        self.kernels["sgd_steps"](self.shape.grid(len(params)), self.shape.threads, [*tensors, *numbers])

    def _steps_of_launch(self, replicas: int, steps: int) -> int:
        return super()._steps_of_launch(replicas, steps) if self.draw == GIVEN else steps

    def _drawn(self, block: Block, clock: list[Tick]) -> Int[Tensor, "step replica batch"]:
        """The examples' counters, by the strategy."""
        micro = torch.zeros_like(clock[0].step)
        return torch.stack([self._indices(block, number, micro)[0] for _, number, _ in clock])


def pools_of(block: Block, draw: int) -> Int[Tensor, "replica 4"]:
    """Of each replica's pool the size, two numbers, and the key by which the kernel draws from it.

    The two numbers are the sides of the grid on which a pool is permuted. Of two sets the first is how often in 2^32
    an example comes from the small one.
    """
    settings = block.tensors["settings"]
    key = random.fold(block.tensors["key"], "two sets" if draw == TWO_SETS else "order")
    threshold = settings.get("threshold")
    numbers = settings["sides"].unbind(1) if threshold is None else (threshold, torch.zeros_like(threshold))
    return torch.stack([settings["size"], *numbers, key[:, 0] | key[:, 1] << 32], dim=1)


def compiled(file: str, name: str, defines: dict[str, int]) -> Callable[..., None]:
    """A kernel of a file of ``svl/native``."""
    options = ["--std=c++17", *(f"-D{key}={value}" for key, value in defines.items())]
    return cuda_kernel(kernel_source(file), name, options)


def misfit(spec: StackSpec, device: torch.device) -> str | None:
    """Why the kernels cannot train the network or run on a device, or ``None`` if they can."""
    if not spec.execution.fused:
        return "model.fused is false"
    if device.type != "cuda":
        return f"it runs on a GPU, not on {device.type}"
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return "the GPU has no tensor cores for tf32"
    if not serves_fit(spec, (2, 3)):
        return "it trains 2-layer and 3-layer ReLU networks on parity with SGD"
    shape = Shape.of(spec)
    if shape.dim + shape.bias > _MOST_INPUTS or shape.width > _MOST_UNITS:
        return f"the registers of a warp hold {_MOST_INPUTS} inputs, with the bias, and {_MOST_UNITS} units"
    return None
