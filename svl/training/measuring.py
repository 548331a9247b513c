"""The metrics of every fit: their names, and their values for each replica."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from svl.losses.names import LOSSES
from svl.tasks.task import Task
from svl.training.blocks import view
from svl.training.spec import StackSpec
from svl.training.state import StackState

_REFERENCE_EXAMPLES = 512


class Measuring:
    """Turns sums over examples into named metrics; a diverged replica's metrics are NaN.

    Args:
        spec: what is trained.
        state: the stack's tensors.
    """

    def __init__(self, spec: StackSpec, state: StackState) -> None:
        self.spec, self.state = spec, state

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        task = self.spec.data.task
        kinds = ["accuracy"] if task.has_accuracy else []
        kinds += ["loss", "perplexity"] if task.has_perplexity else ["loss"]
        measures = [f"val/{name}" for name in self.spec.measures]
        return [f"{split}/{kind}" for kind in kinds for split in ("val", "train")] + measures

    @property
    def summed(self) -> list[str]:
        """What is summed over test examples, by name: the loss, the accuracy and the task's measures."""
        return ["loss", "accuracy", *self.spec.measures]

    def on_tests(self, means: Mapping[str, Float[Tensor, "replica"]]) -> dict[str, Float[Tensor, "replica"]]:
        """Metrics of the test set from the means over it of what is :attr:`summed`."""
        measures = {name: means[name] for name in self.spec.measures}
        return self._named("val", means["loss"], means["accuracy"], measures)

    def of_training(self) -> dict[str, Float[Tensor, "replica"]]:
        """Mean loss and accuracy of the batches since the last call, each before the step that used it; NaN if none."""
        record = self.state.record
        metrics = self._named("train", record["loss"] / record["steps"], record["correct"] / record["steps"], {})
        for name in ("loss", "correct", "steps"):
            record[name].zero_()
        return metrics

    @cached_property
    def references(self) -> dict[str, Float[Tensor, "replica"]]:
        """Losses of the task's reference predictors on some test examples, as ``reference/<name>``.

        NaN where a replica has no such predictor. There are none if the fit has another loss than theirs.
        """
        task = self.spec.data.task
        if (
            type(self.spec.objective.loss) is not LOSSES[task.reference_loss]
            or type(task).references is Task.references
        ):
            return {}
        rows = [self._references_of(slice(replica, replica + 1)) for replica in range(self.spec.replicas)]
        names = dict.fromkeys(name for row in rows for name in row)
        nan = torch.full((1,), math.nan, device=self.state.key.device)
        return {f"reference/{name}": torch.cat([row.get(name, nan) for row in rows]).cpu() for name in names}

    def _references_of(self, row: slice) -> dict[str, Float[Tensor, "replica"]]:
        data = self.spec.data
        settings, key = view(self.state.settings, row), self.state.key[row]
        inputs, targets = data.test_batch(settings, key, 0, min(data.test_size, _REFERENCE_EXAMPLES))
        pools = data.pools.pools(settings)
        return data.bound_task(settings).references(key, inputs, targets, pools)

    def _named(self, split: str, loss: Tensor, accuracy: Tensor, measures: dict[str, Tensor]) -> dict[str, Tensor]:
        task = self.spec.data.task
        # Parameters can stop being finite a step before a train loss says so, and every answer would count as wrong.
        alive = (self.state.record["diverged_at"] < 0) & ~loss.isnan()
        metrics = {f"{split}/loss": loss} | {f"{split}/{name}": value for name, value in measures.items()}
        if task.has_accuracy:
            metrics[f"{split}/accuracy"] = accuracy
        if task.has_perplexity:
            metrics[f"{split}/perplexity"] = loss.exp()
        return {name: torch.where(alive, value, math.nan).cpu() for name, value in metrics.items()}
