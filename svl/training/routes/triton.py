"""Several steps of a block in one launch of a Triton kernel.

The kernel (:mod:`.triton_kernel`) keeps a replica's weights on chip and generates its examples from their counters,
which the strategy chooses. It supports 2-layer ReLU networks on parity with SGD. The kernel is used only if it gives
the same results as the eager step in a short comparison.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.compat.torch import pytree
from svl.data.reuse import ReuseDataModule
from svl.losses import Correlation, Hinge, Logistic, Squared
from svl.losses.names import name_of
from svl.models.mlp import MLP
from svl.optim.sgd import SGD
from svl.tasks.parity import Parity
from svl.training.blocks import Block
from svl.training.compilation import BlockFunction, warn
from svl.training.contents import is_plain
from svl.training.routes.route import StepRoute, Tick
from svl.training.routes.step_by_step import StepByStep
from svl.training.spec import StackSpec

LOSSES = (Logistic, Hinge, Squared, Correlation)
_MOST_UNITS, _MOST_WEIGHTS = 128, 8192  # limits of the padded first layer, which a program keeps in registers
_COUNTERS_PER_LAUNCH = 2**26  # they take half a gigabyte
# Rounding decides on which side of 0 a ReLU unit near 0 falls, so a few replicas may differ more than the others.
_TOLERANCE, _TOLERANCE_AT_A_KINK = 1e-4, 0.1


class TritonSteps(StepRoute):
    """Several steps of a block in one launch.

    Args:
        spec: what is trained.
        oracle: computes the same step by step.
        is_compiled: whether the strategy's rule is compiled.

    Attributes:
        compared: replicas and steps that are compared with the eager step; an interpreter takes a second for each step.
    """

    compared: ClassVar[dict[str, tuple[int, int]]] = {"cuda": (1000, 32), "cpu": (8, 3)}
    name = "Triton kernel"
    word = "triton"
    for_long_fits = True

    def __init__(self, spec: StackSpec, oracle: StepByStep, is_compiled: bool = True) -> None:
        self.spec, self.oracle = spec, oracle
        self._indices = BlockFunction(self._of_step, is_compiled)
        self._constants: dict[Block, tuple[Tensor, Tensor, Tensor]] = {}

    @classmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        assert isinstance(fallback, StepByStep)
        kernel = cls(spec, fallback)
        try:
            reason = "" if kernel.agrees(blocks[0]) else "it differs from the eager step"
        except Exception as error:  # a compiler and a driver raise errors of many kinds
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not reason:
            return kernel
        warn(f"the {cls.name} is not used, and training is slower ({reason})")
        return fallback

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        if not spec.execution.fused:
            return "model.fused is false"
        if not _runs_on(device):
            return f"it runs on a GPU with Triton, not on {device.type}"
        return None if serves(spec) else "it trains 2-layer ReLU networks on parity with SGD, with one batch per step"

    def compiled_unit(self, block: Block, step: int) -> tuple[object, ...]:
        return block.layout, self

    def advance(self, block: Block, clock: list[Tick]) -> None:
        if block not in self._constants:
            self._constants[block] = self._prepare(block)
        packing, tensors = self.spec.packing, block.tensors
        buffers = {label: tensors["rule"][label]["momentum_buffer"] for label in packing.names}
        params, velocities = self._row(tensors["params"]), self._row(buffers)
        most = self._steps_of_launch(len(params), len(clock))
        for start in range(0, len(clock), most):
            self._launch(block, clock[start : start + most], params, velocities)
        for kept, row in ((tensors["params"], params), (buffers, velocities)):
            for label, matrix in packing.pack_row(row).items():
                kept[label].copy_(matrix)

    def agrees(self, block: Block) -> bool:
        """Whether the kernel and the eager step give the same results, for some replicas of a block and some steps.

        The last replica is among them. The eager step multiplies in float32.
        """
        device = block.tensors["key"].device
        replicas, count = self.compared["cuda" if device.type == "cuda" else "cpu"]
        total = len(block.tensors["key"])
        some = torch.linspace(0, total - 1, min(replicas, total), device=device).round().long()
        rows = slice(0, len(some))
        given = Block(rows, pytree.tree_map(lambda tensor: tensor[some], block.tensors), block.ranges)
        numbers = torch.arange(count, device=device)
        rates = torch.full(numbers.shape, 1.0 if self.spec.rates is None else 0.5, dtype=torch.float64, device=device)
        clock = list(map(Tick, range(count), numbers, rates))
        by_kernel, by_eager_step = given.copy(), given.copy()
        type(self)(self.spec, self.oracle, is_compiled=False).advance(by_kernel, clock)
        allowed = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            self.oracle.advance_eagerly(by_eager_step, clock)
        finally:
            torch.set_float32_matmul_precision(allowed)
        errors = []
        for part in ("params", "rule", "record"):
            nests = given.tensors, by_kernel.tensors, by_eager_step.tensors
            leaves = (pytree.tree_leaves(tensors[part]) for tensors in nests)
            for start, actual, expected in zip(*leaves, strict=True):
                if not torch.equal(actual.isfinite(), expected.isfinite()):
                    return False
                errors.append(_distance(actual, expected) / _distance(start, expected).clamp(min=1e-30))
        error = torch.stack(errors)
        # Over many steps and replicas, a unit at its kink in one of them in a hundred may have changed what follows.
        far = (error >= _TOLERANCE_AT_A_KINK).any(0).sum()
        return bool((error.median(1).values < _TOLERANCE).all() and far <= len(some) // 100)

    def _steps_of_launch(self, replicas: int, steps: int) -> int:
        """Steps that one launch takes, of so many that are asked for."""
        return max(1, _COUNTERS_PER_LAUNCH // (replicas * self.spec.data.batch_size))

    def _of_step(
        self, tensors: dict[str, Any], step: Int[Tensor, ""], micro: Int[Tensor, ""]
    ) -> tuple[Int[Tensor, "replica batch"]]:
        return (self.spec.data.indices(self.oracle.draw(tensors, step, micro)),)

    def _row(self, matrices: dict[str, Tensor]) -> Float[Tensor, "replica number"]:
        """A copy of all parameters, one after the other in the network's order."""
        return torch.cat([part.flatten(1) for part in self.spec.packing.unpack(matrices).values()], dim=1)

    def _prepare(self, block: Block) -> tuple[Tensor, Tensor, Tensor]:
        """For each replica the key of its examples, the bits that the label depends on, and the hyperparameters."""
        task: Any = self.spec.data.task
        key, packing = block.tensors["key"], self.spec.packing
        halves = random.fold(key, "example")
        digits = torch.nn.functional.pad(task.support_mask(key), (0, 128 - task.dim)).view(-1, 4, 32)
        words = (digits.long() << torch.arange(32, device=key.device)).sum(-1)
        label_of = {name: label for label, names in packing.names.items() for name in names}
        columns = []
        for name in packing.shapes:
            hyper, frozen = block.tensors["hyper"][label_of[name]], block.tensors["frozen"][label_of[name]]
            columns += [torch.stack([hyper["lr"], hyper["momentum"], hyper["weight_decay"], ~frozen], dim=-1)]
        return halves[:, 0] | halves[:, 1] << 32, words.to(torch.int32), torch.stack(columns, dim=1)

    def _launch(self, block: Block, clock: list[Tick], params: Tensor, velocities: Tensor) -> None:
        import triton.language as tl  # not installed on every machine

        from svl.training.routes.triton_kernel import sgd_steps

        data: Any = self.spec.data
        network: Any = self.spec.network
        first = network.layers[0]
        width, bias = first.out_features, first.bias is not None
        units, inputs = _padded(width), _padded(data.task.dim + bias)
        seed, support, hyper = self._constants[block]
        micro = torch.zeros_like(clock[0].step)
        index = torch.stack([self._indices(block, number, micro)[0] for _, number, _ in clock])
        rates = torch.stack([rate for _, _, rate in clock])
        record = block.tensors["record"]
        sgd_steps[(len(params),)](
            *(index, rates, seed, support, hyper, params, velocities),
            *(record[name] for name in ("loss", "correct", "steps", "diverged_at")),
            *(clock[0].number, len(clock), len(params), data.batch_size),
            DIM=data.task.dim,
            WIDTH=width,
            BIAS=int(bias),
            LOSS=name_of(type(self.spec.objective.loss)),
            ROWS=min(64, _padded(data.batch_size)),
            INPUTS=inputs,
            UNITS=units,
            FACTOR=tl.bfloat16 if params.is_cuda else tl.float32,
            num_warps=4 if units * inputs <= _MOST_WEIGHTS // 2 else 8,
        )


def serves(spec: StackSpec) -> bool:
    """Whether the kernel supports the network, the task, the loss, the optimizer and the strategy."""
    if not (serves_fit(spec, (2,)) and serves_batches(spec)):
        return False
    network: Any = spec.network
    data: Any = spec.data
    units, inputs = _padded(network.layers[0].out_features), _padded(data.task.dim + 1)
    return units <= _MOST_UNITS and units * inputs <= _MOST_WEIGHTS


def serves_fit(spec: StackSpec, depths: tuple[int, ...]) -> bool:
    """Whether kernels for ReLU networks on parity support the network, the task, the loss and the optimizer.

    Args:
        spec: what is trained.
        depths: layers of weights that the kernel supports.
    """
    data, network = spec.data, spec.network
    if not (type(network) is MLP and type(data.task) is Parity and type(spec.rule) is SGD):
        return False
    if spec.numbers != {"lr", "momentum", "weight_decay"}:
        return False
    if type(spec.objective.loss) not in LOSSES or spec.execution.precision == "bf16-mixed" or spec.interventions:
        return False
    if data.interventions or data.branches or data.axes or spec.team.divides_batches or "batch" in spec.settings:
        return False
    layers: Any = network.layers
    if not is_plain(layers, network):
        return False
    is_supported = len(layers) in depths and layers[-1].out_features == 1 and network.activation == "relu"
    return is_supported and layers[0].weight.dtype == torch.float32


def serves_batches(spec: StackSpec) -> bool:
    """Whether every step has one batch of drawn examples, which the strategy chooses by their counters."""
    data = spec.data
    if data.makes_examples_itself or data.initial_state(spec.settings) or data.enumerates(spec.settings):
        return False
    return type(data).weights is ReuseDataModule.weights


def _runs_on(device: torch.device) -> bool:
    """Whether Triton can run on a device; on the CPU only its interpreter can, which is for tests."""
    is_there = device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return is_there and find_spec("triton") is not None


def _padded(size: int) -> int:
    """The next power of two that a matrix product accepts."""
    return max(16, 1 << (size - 1).bit_length())


def _distance(first: Tensor, second: Tensor) -> Tensor:
    difference = first.double().nan_to_num() - second.double().nan_to_num()
    return difference.view(len(first), -1).norm(dim=1)
