"""The similarity of the gradients of different batches, and their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.checks import check_whole
from svl.data import FullBatch
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_SHARE = 0.05
# Cost of an eager gradient when steps are compiled, in steps.
_EAGER_STEPS = 10

Gram = Float[Tensor, "replica batch batch"]


class GradientSimilarity(Measurement):
    """Statistics of the gradients g_i of the strategy's next n batches, at the current parameters.

    ``gradient_cosine``: the mean of cos(g_i, g_j) over i < j (Kotha et al. 2025, figure 8); ``gradient_norm``: the mean
    of |g_i|. Both are also measured for each parameter group as ``.../<group>`` or, if there are no groups, for each
    weight matrix as ``.../<name>``.

    ``gradient_square``: the mean of g_i . g_j over i < j, an estimate of |G|^2 for the mean gradient G;
    ``gradient_variance``: B (mean of |g_i|^2 - gradient_square) with batch size B, an estimate of tr(Sigma) for the
    covariance Sigma of the gradients of single examples; ``gradient_noise_scale``: the ratio of the second to the
    first, in examples, NaN if the first is not above 0. These are the estimators of McCandlish et al. 2018, appendix
    A.1, with B_small = B and B_big = n B. The first two are unbiased for independent examples. Their ratio is biased,
    so average the two before taking the ratio.

    Batches of a set with fewer than n B examples have examples in common; a set of at most B examples has a cosine of
    1. If a stored dataset is used once and ends, which can only happen at the end of a fit, its first batches are
    used again.

    Cost: n gradients for each measurement, about n steps, or ten times as many in a compiled fit that is too short to
    compile them.

    Args:
        batches: n, at least 2.
        every: measure at every ``every``-th logging step and at the last; the values at the others are NaN. By default
            the smallest number that keeps the cost below 5 % of the fit.

    Raises:
        SettingError: for a number out of range, or a strategy whose batches are all the same.
    """

    metrics = ("gradient_cosine", "gradient_norm", "gradient_noise_scale", "gradient_square", "gradient_variance")

    def __init__(self, batches: int = 4, every: int | None = None) -> None:
        check_whole("batches", batches, 2)
        if every is not None:
            check_whole("every", every, 1)
        self.batches, self.every = batches, every

    def names(self, module: ReplicaModule) -> Sequence[str]:
        stack, data = module.stack, module.stack.data
        ranges = data.micro_batches(stack.settings, data.batch_size)
        if isinstance(data, FullBatch) or any(count > 1 for _, count in ranges):
            combination = f"GradientSimilarity with {type(data).__name__}"
            raise SettingError("trainer.callbacks", combination, "strategies with another batch at each step")
        parts = [f"gradient_{kind}/{part}" for part in parameters_by_part(stack) for kind in ("cosine", "norm")]
        return [*self.metrics, *parts]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack, step = module.stack, module.global_step
        every = self.interval(module) * steps_between(module)
        if step % every and step != stack.data.total_steps:
            missing = torch.full((len(stack.replicas),), math.nan)
            return dict.fromkeys(self.names(module), missing)
        rows, places = stack.gradients(step, self.batches), stack.spec.packing.places()
        grams = {name: gram(rows[..., first:end]) for name, (first, end) in places.items()}
        whole = torch.stack(list(grams.values())).sum(0)
        columns = similarity(whole) | noise(whole, stack.settings.get("batch", stack.data.batch_size))
        for part, names in parameters_by_part(stack).items():
            of_part = torch.stack([grams[name] for name in names]).sum(0)
            columns |= {f"{name}/{part}": column for name, column in similarity(of_part).items()}
        return {name: columns[name] for name in self.names(module)}

    def interval(self, module: ReplicaModule) -> int:
        """``every``, or its default for this fit."""
        plan = module.stack.engine.plan
        cost = 1 if plan.compiles_gradients or not plan.is_compiled else _EAGER_STEPS
        return self.every or math.ceil(cost * self.batches / (_SHARE * steps_between(module)))


def steps_between(module: ReplicaModule) -> int:
    """Steps between two measurements."""
    return module.measured_steps.every


def parameters_by_part(stack: ReplicaStack) -> dict[str, list[str]]:
    """Names of the parameters of each group or, if there are no groups, of each weight matrix alone."""
    parts: dict[str, list[str]] = {}
    for name, group in stack.spec.hyper.group.items():
        if group:
            parts.setdefault(group, []).append(name)
    return parts or {name: [name] for name, p in stack.parameters_by_name().items() if p.dim() >= 3}


def gram(rows: Float[Tensor, "batch replica number"]) -> Gram:
    """Gram matrices of inner products g_i . g_j."""
    by_replica = rows.transpose(0, 1)
    return by_replica @ by_replica.mT


def similarity(gram: Gram) -> dict[str, Float[Tensor, "replica"]]:
    """Mean cosine of the pairs and mean norm; the cosine is NaN if a gradient is 0."""
    norm = gram.diagonal(dim1=1, dim2=2).sqrt()
    cosine = gram / (norm[:, :, None] * norm[:, None])
    return {"gradient_cosine": _mean_of_pairs(cosine), "gradient_norm": norm.mean(1)}


def noise(gram: Gram, batch: int | Tensor) -> dict[str, Float[Tensor, "replica"]]:
    """Estimates of |G|^2, of tr(Sigma) and of the noise scale, from batches of ``batch`` examples."""
    square = _mean_of_pairs(gram)
    variance = batch * (gram.diagonal(dim1=1, dim2=2).mean(1) - square)
    scale = torch.where(square > 0, variance / square, math.nan)
    return {"gradient_square": square, "gradient_variance": variance, "gradient_noise_scale": scale}


def _mean_of_pairs(table: Gram) -> Float[Tensor, "replica"]:
    distinct = ~torch.eye(table.shape[1], dtype=torch.bool, device=table.device)
    return table[:, distinct].mean(1)
