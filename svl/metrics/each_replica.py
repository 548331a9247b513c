"""Any metric of torchmetrics, for each replica."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.wrappers.abstract import WrapperMetric

from svl.errors import SettingError
from svl.metrics.predictions import predictions
from svl.tasks.task import Task

_KINDS = {"sign": "labels 0 and 1", "class": "classes"}
_PREFIXES = {"Binary": "sign", "Multiclass": "class", "Multilabel": "class"}


class EachReplica(WrapperMetric):
    """A copy of a metric for each replica, which has seen that replica's predictions alone.

    Cost: one update for each replica and 1,024 test examples, about a millisecond each for most metrics.

    Args:
        metric: any metric of torchmetrics that returns one number.
        task: whose predictions and targets it is given, in the form of :func:`svl.metrics.predictions.predictions`.
        replicas: number of replicas.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, metric: Metric, task: Task, replicas: int) -> None:
        super().__init__(sync_on_compute=False)
        self.task = task
        self.copies = nn.ModuleList(copy.deepcopy(metric) for _ in range(replicas))
        for each in self._every:
            # The processes of a team have different replicas, whose predictions must not be pooled.
            each.distributed_available_fn = _is_alone

    def update(self, outputs: Float[Tensor, "replica batch ..."], targets: Tensor, rows: slice) -> None:
        """Take test examples of some replicas into account.

        Args:
            outputs: of their networks.
            targets: of the examples, ``[replica, batch, ...]``.
            rows: which replicas.
        """
        for place, metric in enumerate(self._every[rows]):
            metric.update(*predictions(self.task, outputs[place], targets[place]))

    def compute(self) -> Float[Tensor, "replica"]:
        """Each replica's value; NaN where no example has been seen."""
        return torch.stack([_value(metric) for metric in self._every])

    def reset(self) -> None:
        """Forget all examples."""
        super().reset()
        for metric in self._every:
            metric.reset()

    @property
    def _every(self) -> list[Any]:
        return list(self.copies)


def check(name: str, metric: Metric, task: Task) -> None:
    """Try a metric on two examples whose outputs are 0.

    Args:
        name: under which it is measured.

    Raises:
        SettingError: for a metric that does not fit the task's targets, or does not return one number.
    """
    _, targets = task.examples(torch.zeros(1, 2, dtype=torch.int64), torch.arange(2)[None])
    positions = (task.input_shape[0],) if task.per_position else ()
    outputs = torch.zeros(2, *positions, task.output_dim)
    trial = copy.deepcopy(metric)
    kind, targets_are = type(metric).__name__, _KINDS.get(task.target, "numbers")
    # Some metrics take targets of another kind without a word, and return a number that means nothing.
    other = next((known for prefix, known in _PREFIXES.items() if kind.startswith(prefix)), task.target)
    if other != task.target:
        allowed = f"a metric for {targets_are}"
        if other == "sign" and task.target == "class":
            multiclass = f"{kind.replace('Binary', 'Multiclass', 1)} with num_classes: {task.output_dim}"
            allowed += f", such as {multiclass}; two classes of a Dataset are labels with target_kind: sign"
        raise SettingError(f"metrics.{name}", f"{kind}, for {_KINDS[other]}", allowed)
    try:
        with warnings.catch_warnings():
            # Two examples can be of one class, which many metrics warn about.
            warnings.simplefilter("ignore")
            trial.update(*predictions(task, outputs, targets[0]))
            value = trial.compute()
    except Exception as error:  # torchmetrics raises many kinds
        reason = " ".join(str(error).split())[:200]
        allowed = f"a metric for {targets_are} ({type(error).__name__}: {reason})"
        raise SettingError(f"metrics.{name}", kind, allowed) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise SettingError(f"metrics.{name}", f"{kind}, which returns {shape}", "a metric that returns one number")


def _is_alone() -> bool:
    """Whether there are other processes, as a metric of one replica sees it."""
    return False


def _value(metric: Metric) -> Float[Tensor, ""]:
    if not metric.update_called:
        return torch.tensor(math.nan)
    value: Tensor = metric.compute()
    return value.detach().reshape(()).float().cpu()
