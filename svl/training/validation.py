"""The metrics of the test set: those of every fit, and those of torchmetrics that a fit asks for."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from svl.errors import SettingError
from svl.metrics.each_replica import EachReplica, check
from svl.metrics.replica_mean import ReplicaMean
from svl.training.stack import ReplicaStack

Metrics = dict[str, Metric | MetricCollection]


class Validation:
    """Two collections of metrics that hold one number for each replica.

    Args:
        stack: the replicas.
        further: metrics of torchmetrics, by name.

    Attributes:
        means: of the loss, the accuracy and the task's measures, from sums that the stack computes.
        further: copies of other metrics for each replica, which see its predictions.

    Raises:
        SettingError: for a metric that does not fit the task, or whose name is taken.
    """

    def __init__(self, stack: ReplicaStack, further: Mapping[str, Metric]) -> None:
        self.stack, replicas, task = stack, len(stack.replicas), stack.data.task
        for name, metric in further.items():
            if f"val/{name}" in stack.metrics or f"train/{name}" in stack.metrics:
                raise SettingError(f"metrics.{name}", name, "another name: svl measures this one itself")
            check(name, metric, task)
        # Metrics of equal state would be taken for one and the same.
        means: Metrics = {name: ReplicaMean(name, replicas) for name in stack.measuring.summed}
        self.means = MetricCollection(means, compute_groups=False)
        copies: Metrics = {name: EachReplica(metric, task, replicas) for name, metric in further.items()}
        self.further = MetricCollection(copies, compute_groups=False)

    def update(self) -> None:
        """Measure every replica on its own test set."""
        self.means.update(self.stack.test_sums(), self.stack.data.test_size)
        if len(self.further):
            device = self.stack.key.device
            self.further.to(device)
            for rows, outputs, targets in self.stack.predictions():
                self.further.update(outputs, targets, rows)

    def compute(self) -> dict[str, Float[Tensor, "replica"]]:
        """The metrics as ``val/<name>``, NaN for replicas that have diverged; the collections are empty after it."""
        # torchmetrics makes a number of what one replica has.
        device = self.stack.key.device
        means = {name: values.reshape(-1).to(device) for name, values in self.means.compute().items()}
        named = self.stack.measuring.on_tests(means)
        # Parameters can stop being finite a step before the record says so.
        alive = (self.stack.record["diverged_at"] < 0).cpu() & ~named["val/loss"].isnan()
        for name, values in self.further.compute().items() if len(self.further) else ():
            values = values.reshape(-1)
            self.stack.spec.team.exchange(values)
            named[f"val/{name}"] = values.where(alive, float("nan"))
        self.means.reset()
        self.further.reset()
        return named
