"""Feature learning: how close the networks are to the structure that the task hides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from svl.callbacks.measurement import Measurement, forward, test_examples
from svl.checks import check_whole
from svl.errors import SettingError
from svl.tasks import InContextRegression, Parity, SingleIndex, Staircase
from svl.training.blocks import view
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

Columns = dict[str, Float[Tensor, "replica"]]


class Feature(Measurement):
    """Progress towards the task's hidden structure, as columns ``feature/...``.

    Parity and Staircase, with support S: ``fourier`` = E[f(x) chi_S(x)], the network's Fourier coefficient; for a
    staircase also ``fourier_1``, ..., those of its lower degrees. If the first layer W reads the whole input,
    ``support_weight``: the fraction of |W|_F^2 on the coordinates in S.

    SingleIndex, with teacher t: ``cosine`` = max |cos(w_i, t)| over the first layer's neurons w_i, and
    ``singular_cosine`` = |cos(v, t)| of its top right singular vector v (the spike of Ba et al. 2022).

    InContextRegression: ``ridge_distance``, the mean squared distance between the predictions of the network and of
    ridge; if training contexts come from a pool also ``pool_distance``, that to its Bayes estimator (Kotha et al. 2025,
    equations 3 and 6). With a loss at every prefix these are means over all prefixes, and ``..._query`` are the
    distances at the query.

    Cost: for each measurement a forward pass over ``examples`` test examples, or an eigendecomposition of size ``dim``;
    the examples and the reference predictions are computed once and kept.

    Args:
        examples: number of test examples.

    Raises:
        SettingError: for ``examples`` below 1, other tasks, or a single-index model with another first layer.
    """

    def __init__(self, examples: int = 64) -> None:
        check_whole("examples", examples, 1)
        self.examples = examples
        self._known: tuple[Tensor, Tensor] | None = None
        self._predictions: dict[str, Float[Tensor, "replica batch point"]] = {}

    def names(self, module: ReplicaModule) -> Sequence[str]:
        return list(Feature(examples=1).measure(module))

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack, task = module.stack, module.stack.data.task
        if isinstance(task, Parity):
            columns = self._parity(stack, task)
        elif isinstance(task, SingleIndex):
            columns = single_index(stack, task)
        elif isinstance(task, InContextRegression):
            columns = self._in_context(stack)
        else:
            allowed = "the tasks Parity, Staircase, SingleIndex and InContextRegression"
            raise SettingError("trainer.callbacks", f"Feature for {type(task).__name__}", allowed)
        return {f"feature/{name}": column for name, column in columns.items()}

    def _examples(self, stack: ReplicaStack) -> tuple[Tensor, Tensor]:
        # Kept, because generating them costs as much as a small network's forward pass.
        self._known = self._known or test_examples(stack, self.examples)
        return self._known

    def _parity(self, stack: ReplicaStack, task: Parity) -> Columns:
        # The test labels of a staircase are chi_S alone, too.
        inputs, chi = self._examples(stack)
        outputs = forward(stack, inputs)[..., 0]
        columns = {"fourier": (outputs * chi).mean(1)}
        if isinstance(task, Staircase):
            steps = inputs[..., : task.degree - 1].cumprod(-1)
            columns |= {f"fourier_{j + 1}": (outputs * steps[..., j]).mean(1) for j in range(task.degree - 1)}
        weight = first_layer(stack)
        if weight is not None:
            square = weight.square().sum(1)
            columns["support_weight"] = (square * task.support_mask(stack.key)).sum(1) / square.sum(1)
        return columns

    def _in_context(self, stack: ReplicaStack) -> Columns:
        inputs, _ = self._examples(stack)
        self._predictions = self._predictions or predictions(stack, inputs)
        outputs = forward(stack, inputs)
        outputs = outputs[:, :, 0::2, 0] if stack.data.task.per_position else outputs
        columns = {}
        for name, predicted in self._predictions.items():
            distance = (outputs - predicted[..., -outputs.shape[-1] :]).square()
            columns[f"{name}_distance"] = distance.mean((1, 2))
            if stack.data.task.per_position:
                columns[f"{name}_distance_query"] = distance[..., -1].mean(1)
        return columns


def single_index(stack: ReplicaStack, task: SingleIndex) -> Columns:
    """Cosines between the first layer and the teacher of a single-index model."""
    weight = first_layer(stack)
    if weight is None:
        allowed = "networks whose first layer reads the whole input, as an MLP's does, for a single-index model"
        raise SettingError("trainer.callbacks", "Feature", allowed)
    teacher = task.teacher(stack.key)
    # LAPACK fails for all replicas if the numbers of one are not finite.
    gram = (weight.mT @ weight).nan_to_num(0, 0, 0)
    singular = torch.linalg.eigh(gram).eigenvectors[..., -1]
    finite = torch.where(weight.isfinite().all((1, 2)), 1.0, math.nan)
    return {
        "cosine": F.cosine_similarity(weight, teacher[:, None], dim=-1).abs().amax(1),
        "singular_cosine": finite * (singular * teacher).sum(1).abs(),
    }


def first_layer(stack: ReplicaStack) -> Float[Tensor, "replica neuron dim"] | None:
    """The first layer's weights, one row for each neuron; ``None`` unless it is a matrix that reads the whole input."""
    parameters = stack.parameters_by_name()
    weights = [p for name, p in parameters.items() if name.endswith("weight") and p.dim() >= 3]
    # The quadratic neuron has a vector.
    first = weights[0] if weights else next(iter(parameters.values()))
    is_whole = first.dim() in (2, 3) and first.shape[-1:] == stack.data.task.input_shape
    return first.view(len(first), -1, first.shape[-1]) if is_whole else None


def predictions(
    stack: ReplicaStack, inputs: Float[Tensor, "replica batch position dim"]
) -> dict[str, Float[Tensor, "replica batch point"]]:
    """Predictions of ridge and of the pool's Bayes estimator at each point; NaN for replicas without a pool."""
    rows = []
    for replica in range(len(inputs)):
        row = slice(replica, replica + 1)
        settings = view(stack.settings, row)
        task = stack.data.bound_task(settings)
        assert isinstance(task, InContextRegression)
        rows.append(task.predictions(stack.key[row], inputs[row], stack.data.pools.pools(settings)))
    missing = torch.full_like(rows[0]["ridge"], math.nan)
    names = [name for name in ("ridge", "pool") if any(name in row for row in rows)]
    return {name: torch.cat([row.get(name, missing) for row in rows]).float() for name in names}
