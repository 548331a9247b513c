"""What is measured of a block without training it: its results on test examples, and its gradients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.func import vmap

from svl.training.compilation import BlockFunction
from svl.training.routes.route import Tensors
from svl.training.routes.step_by_step import StepByStep
from svl.training.spec import StackSpec

if TYPE_CHECKING:
    from svl.training.plan import Plan


class Evaluation:
    """Functions of a block that change none of its tensors, by the route that computes the block's batches.

    Args:
        spec: what is trained.
        plan: what is compiled, and how many test examples are measured at once.
        steps: whose route and draws are used.

    Attributes:
        on_tests: sums over test examples from a first one on; see :meth:`_on_tests`.
        gradient: of a coming batch; see :meth:`_gradient`.
        starts: numbers of the first test examples of every call: the same tensors at each measurement, for which a
            compiled function keeps the examples.
    """

    def __init__(self, spec: StackSpec, plan: Plan, steps: StepByStep) -> None:
        self.spec, self.plan, self.steps = spec, plan, steps
        self.on_tests = BlockFunction(self._on_tests, plan.compiles_evaluation, holds_last=plan.holds_tests)
        self.gradient = BlockFunction(self._gradient, plan.compiles_gradients)
        self.kept: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        self.starts = list(torch.arange(0, spec.data.test_size, plan.evaluation_rows, device=plan.device))

    def _on_tests(self, tensors: Tensors, start: Int[Tensor, ""]) -> tuple[Float[Tensor, "metric replica"]]:
        """Sums of loss, accuracy and the task's measures over the test examples from ``start`` on."""
        task, objective = self.spec.data.task, self.spec.objective
        outputs, targets = self.predictions(tensors, start)
        valid = self.valid(start)

        def sums(outputs: Tensor, targets: Tensor) -> Tensor:
            columns = [*objective.of_examples(outputs, targets), *task.measures(outputs, targets).values()]
            return torch.stack([torch.where(valid, column, 0.0).sum() for column in columns])

        return (vmap(sums, out_dims=1)(outputs, targets),)

    def predictions(
        self, tensors: Tensors, start: Int[Tensor, ""]
    ) -> tuple[Float[Tensor, "replica batch ..."], Shaped[Tensor, "replica batch ..."]]:
        """Each replica's outputs for its test examples from ``start`` on, and their targets.

        There are always ``plan.evaluation_rows`` examples; :meth:`valid` says which of them are in the test set.
        """
        inputs, targets = self._test_batch(tensors, start)
        return self.steps.batch_route.outputs(tensors, inputs, start), targets

    def valid(self, start: Int[Tensor, ""]) -> Bool[Tensor, "batch"]:
        """Which of the examples from ``start`` on are in the test set."""
        return (start + torch.arange(self.plan.evaluation_rows, device=start.device)) < self.spec.data.test_size

    def _test_batch(self, tensors: Tensors, start: Int[Tensor, ""]) -> tuple[Tensor, Tensor]:
        """The test examples from ``start`` on; a compiled function keeps its own."""
        settings, key = tensors["settings"], tensors["key"]
        make = partial(self.spec.data.test_batch, settings, key, start, self.plan.evaluation_rows)
        if self.on_tests.is_compiled or not self.plan.holds_tests:
            return make()
        # A block's key and each of the starts are always the same objects; a value would have to come from the device.
        place = id(key), id(start)
        if place not in self.kept:
            self.kept[place] = key, start, *make()
        # Copies: a network, a loss or a measure of the user's may write to what it is given.
        _, _, inputs, targets = self.kept[place]
        return inputs.clone(), targets.clone()

    def _gradient(
        self, tensors: Tensors, step: Int[Tensor, ""], ahead: Int[Tensor, ""]
    ) -> tuple[Float[Tensor, "replica number"]]:
        """The gradient of the batch ``ahead`` steps after ``step``, before any intervention on it."""
        data = self.spec.data
        draw = self.steps.draw(tensors, step + ahead, torch.zeros_like(ahead))
        draw = draw._replace(state=data.ahead(draw.state, ahead))
        gradients = self.steps.batch_route.of_batch(tensors, data.batch(draw), draw)
        return (self.spec.packing.row(gradients.matrices, tensors["frozen"]),)
