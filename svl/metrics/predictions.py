"""The predictions and targets that metrics of torchmetrics are given."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from svl.tasks.task import Task


def predictions(task: Task, outputs: Float[Tensor, "batch *position output"], targets: Tensor) -> tuple[Tensor, Tensor]:
    """One replica's predictions and targets in the form that torchmetrics documents for each kind of target.

    - labels -1 and 1: the probability of 1, which is the logistic function of the output ``[batch]``, and 0 or 1;
    - classes: the softmax of the outputs ``[batch, class]``, and the classes;
    - numbers: the outputs and the targets, both ``[batch]`` where there is one, else ``[batch, output]``.

    Where there is a target at each position, every position that has one counts as an example.

    Args:
        task: says the kind of the targets.
        outputs: the network's.
        targets: the task's.
    """
    if task.per_position:
        valid = targets >= 0 if task.target == "class" else ~targets.isnan()
        outputs, targets = outputs[valid], targets[valid]
    if task.target == "sign":
        return outputs[..., 0].sigmoid(), (targets > 0).long()
    if task.target == "class":
        return outputs.softmax(dim=-1), targets
    return (outputs[..., 0] if outputs.shape[-1] == 1 else outputs), targets
