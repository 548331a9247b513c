"""Steps on full batches and on whole populations by CUDA kernels, in which many warps share one replica's examples.

The kernels are ``svl/native/slices.cu``: the gradients of slices of the examples, and the update.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from svl.data.full_batch import FullBatch
from svl.data.phases import at
from svl.data.population import Population
from svl.training.blocks import Block, StepRange
from svl.training.routes.route import Tick
from svl.training.routes.warp import FRESH, WarpSteps, compiled, misfit
from svl.training.spec import StackSpec

SUMMERS = 16  # warps of a thread block that adds up slices
_PARAMETERS = 32  # of such a block
_LARGEST_SET = 2**31  # below it examples are counted with words of 32 bits
_WAVES = 4  # in how many turns a GPU takes slices, if there are too many replicas for one turn


class WarpFullBatch(WarpSteps):
    """Steps on all examples of a set, or on every input of the population, two launches a step."""

    name = "CUDA kernel over full batches"
    compared: ClassVar[dict[str, tuple[int, int]]] = {"cuda": (8, 4), "cpu": (8, 3)}
    draw = FRESH  # of a set, whose examples are the first of all

    @classmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        if type(spec.data) not in (FullBatch, Population):
            return "it takes steps on full batches"
        if int(spec.settings["sizes"].max()) >= _LARGEST_SET:
            return "it counts examples with words of 32 bits"
        return misfit(spec, device)

    @cached_property
    def kernels(self) -> dict[str, Callable[..., None]]:
        defines = {**self.defines, "SUMMERS": SUMMERS}
        return {name: compiled("slices", name, defines) for name in ("gradient_slices", "sgd_of_slices")}

    @cached_property
    def _sizes(self) -> dict[tuple[Block, StepRange], Int[Tensor, "replica"]]:
        return {}

    def _launch(self, block: Block, clock: list[Tick], params: Tensor, velocities: Tensor) -> None:
        seed, support, hyper = self._constants[block]
        record = [block.tensors["record"][name] for name in ("loss", "correct", "steps", "diverged_at")]
        replicas, number = params.shape
        slices = self._slices(params.device, replicas)
        gradients = params.new_empty(replicas, slices, number + 2)
        first = [seed, support, params, record[-1], gradients, replicas, slices]
        grid = replicas * -(-number // _PARAMETERS), 1, 1
        for tick in clock:
            sizes = self._sizes_at(block, tick)
            self.kernels["gradient_slices"](self.shape.grid(replicas * slices), self.shape.threads, [sizes, *first])
            numbers = [tick.number, int(tick is clock[-1]), replicas, slices]
            second = [tick.rate, hyper, gradients, params, velocities, *record, *numbers]
            self.kernels["sgd_of_slices"](grid, (32 * SUMMERS, 1, 1), second)

    def _steps_of_launch(self, replicas: int, steps: int) -> int:
        return steps

    def _sizes_at(self, block: Block, tick: Tick) -> Int[Tensor, "replica"]:
        """Examples of each replica's step; those of a population, whose inputs are enumerated, are below 0."""
        place = block, block.range_of(tick.number)
        if place not in self._sizes:
            settings = block.tensors["settings"]
            phase = self.spec.data.phase(settings, {}, tick.step)
            size, is_table = at(settings["sizes"], phase), at(settings["enumerated"], phase)
            self._sizes[place] = torch.where(is_table, -size, size)
        return self._sizes[place]

    def _slices(self, device: torch.device, replicas: int) -> int:
        """Into how many slices a replica's examples are cut, so that all processors of the GPU have work."""
        if device.type != "cuda":
            return 3
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        teams = processors * self.shape.blocks * self.shape.warps // self.shape.team
        return teams // replicas if teams >= _WAVES * replicas else -(-_WAVES * teams // replicas)
