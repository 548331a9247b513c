"""The interfaces of the routes: the ways to compute gradients, and the ways to take steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from svl.data.draw import Draw, MicroBatch
from svl.training.blocks import Block, StepRange
from svl.training.spec import StackSpec

if TYPE_CHECKING:
    from collections.abc import Hashable

Tensors = dict[str, Any]


class Gradients(NamedTuple):
    """Gradients, loss and accuracy of a batch.

    Attributes:
        matrices: gradients of the packed parameters ``[replica, number]``.
        loss: each replica's mean loss.
        correct: its accuracy.
        buffers: the network's buffers after the batch, where it changes any.
    """

    matrices: dict[str, Float[Tensor, "replica number"]]
    loss: Float[Tensor, "replica"]
    correct: Float[Tensor, "replica"]
    buffers: Mapping[str, Shaped[Tensor, "replica ..."]] = MappingProxyType({})


class Tick(NamedTuple):
    """One step of training.

    Attributes:
        number: of the step, from 0.
        step: the same as a tensor.
        rate: the schedules' factor on the learning rates.
    """

    number: int
    step: Int[Tensor, ""]
    rate: Float[Tensor, ""]


class Route(ABC):
    """One way to compute what every other route computes too, up to rounding.

    Attributes:
        name: as a plan prints it.
        word: as ``model.route`` names it; empty where there is no choice.
        for_long_fits: whether only compiled fits can use it.
    """

    name: ClassVar[str]
    word: ClassVar[str] = ""
    for_long_fits: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def obstacle(cls, spec: StackSpec, device: torch.device) -> str | None:
        """Why the route cannot serve a fit, or ``None`` if it can."""


class GradientRoute(Route):
    """A way to compute the gradients of a step's batch.

    Args:
        spec: what is trained.
    """

    def __init__(self, spec: StackSpec) -> None:
        self.spec = spec

    @abstractmethod
    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        """Gradients, losses and accuracies of one micro-batch of a block.

        Args:
            tensors: the block's.
            draw: which micro-batch.
        """

    @abstractmethod
    def calls(self, steps: StepRange, replicas: int, device: torch.device) -> int:
        """How many micro-batches a step is divided into, for a block of ``replicas`` replicas."""


class BatchRoute(GradientRoute):
    """A way to compute the gradients of any batch of examples."""

    def gradients(self, tensors: Tensors, draw: Draw) -> Gradients:
        return self.of_batch(tensors, self.share(self.spec.data.batch(draw)), draw)

    def calls(self, steps: StepRange, replicas: int, device: torch.device) -> int:
        return steps.micro_batches

    @abstractmethod
    def of_batch(self, tensors: Tensors, batch: MicroBatch, draw: Draw) -> Gradients:
        """Gradients, losses and accuracies of the examples given.

        Args:
            tensors: the block's, of which none is changed.
            batch: of each replica.
            draw: which micro-batch it is, which decides the network's random numbers.
        """

    @abstractmethod
    def outputs(self, tensors: Tensors, inputs: Tensor, start: Int[Tensor, ""]) -> Float[Tensor, "replica batch ..."]:
        """Each replica's outputs for its own inputs in evaluation mode.

        Args:
            tensors: the block's.
            inputs: ``[replica, batch, *input_shape]``.
            start: number of the first of them among the test examples.
        """

    def share(self, batch: MicroBatch) -> MicroBatch:
        """This process's part of a batch, weighted so that the parts' losses and gradients add up to the batch's."""
        team = self.spec.team
        if not team.divides_batches:
            return batch
        inputs, targets, weights = batch
        replicas, count = inputs.shape[:2]
        if weights is None:
            weights = torch.full((replicas, count), 1 / count, device=inputs.device)
        rows = team.rows(count)
        return MicroBatch(inputs[:, rows], targets[:, rows], weights[:, rows])


class StepRoute(Route):
    """A way to advance a block by several steps."""

    @classmethod
    @abstractmethod
    def start(cls, spec: StackSpec, fallback: StepRoute, blocks: list[Block]) -> StepRoute:
        """The route for these blocks, or the fallback where the route is found not to agree with it.

        Args:
            spec: what is trained.
            fallback: takes the same steps one after the other.
            blocks: to be advanced.
        """

    @abstractmethod
    def advance(self, block: Block, clock: list[Tick]) -> None:
        """Take the steps of the clock, in order; the block's tensors are changed in place."""

    def score(self, block: Block) -> Float[Tensor, "metric replica"] | None:
        """Sums of loss and accuracy over all test examples, where the route has a way of its own to measure them."""
        return None

    @abstractmethod
    def compiled_unit(self, block: Block, step: int) -> Hashable:
        """What is prepared once for a step of the block; no other call may run during the first call of a unit."""
