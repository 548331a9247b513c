"""How alike the gradients of different batches are, and how noisy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from callbacks.measurement import Measurement
from svl.checks import check_whole
from svl.data import FullBatch
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_SHARE = 0.05
# What an eager gradient takes beside compiled steps, in steps.
_EAGER_STEPS = 10

Gram = Float[Tensor, "replica batch batch"]


class GradientSimilarity(Measurement):
    """Gradients g_i of the strategy's coming n batches, at the present parameters.

    ``gradient_cosine``: the mean of cos(g_i, g_j) over i < j (Kotha et al. 2025, figure 8), and ``gradient_norm``, the
    mean of |g_i|; both also as ``.../<group>`` for each parameter group or, where there are none, ``.../<name>`` for
    each weight matrix.

    ``gradient_square``: the mean of g_i . g_j over i < j, an estimate of |G|^2 for the mean gradient G;
    ``gradient_variance``: B (mean of |g_i|^2 - gradient_square) with batch size B, one of tr(Sigma) for the covariance
    Sigma of single examples' gradients; ``gradient_noise_scale``: their ratio, in examples, NaN where that of |G|^2 is
    not above 0. These are the estimators of McCandlish et al. 2018, appendix A.1, with B_small = B and B_big = n B: the
    first two are without bias for independent examples, their ratio is not, so average them before it is taken.

    A set of fewer than n B examples has no n batches without common examples; one of at most B has a cosine of 1. When
    a stored dataset that is used once runs out, at the very end of a fit, its first batches come again.

    n gradients per measurement, about n steps, or ten times as many in a compiled fit too short to compile them, too.

    Args:
        batches: n, at least 2.
        every: of how many measurements one is taken, beside the last; the others are NaN. If left out, as many as keep
            the cost below 5 % of the fit's.

    Raises:
        SettingError: for a number out of range, or strategies whose batches are all the same.
    """

    metrics = ("gradient_cosine", "gradient_norm", "gradient_noise_scale", "gradient_square", "gradient_variance")

    def __init__(self, batches: int = 4, every: int | None = None) -> None:
        check_whole("trainer.callbacks.GradientSimilarity.batches", batches, 2)
        if every is not None:
            check_whole("trainer.callbacks.GradientSimilarity.every", every, 1)
        self.batches, self.every = batches, every

    def names(self, module: ReplicaModule) -> Sequence[str]:
        stack, data = module.stack, module.stack.data
        ranges = data.micro_batches(stack.settings, data.batch_size)
        if isinstance(data, FullBatch) or any(count > 1 for _, count in ranges):
            given = f"GradientSimilarity with {type(data).__name__}"
            raise SettingError("trainer.callbacks", given, "strategies with another batch at each step")
        parts = [f"gradient_{kind}/{part}" for part in parameters_by_part(stack) for kind in ("cosine", "norm")]
        return [*self.metrics, *parts]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack, step = module.stack, module.global_step
        every = self.interval(module) * steps_between(module)
        if step % every and step != stack.data.total_steps:
            nothing = torch.full((len(stack.replicas),), math.nan)
            return dict.fromkeys(self.names(module), nothing)
        rows, places = stack.gradients(step, self.batches), stack.spec.packing.places()
        grams = {name: gram(rows[..., first:end]) for name, (first, end) in places.items()}
        whole = torch.stack(list(grams.values())).sum(0)
        found = similarity(whole) | noise(whole, stack.settings.get("batch", stack.data.batch_size))
        for part, names in parameters_by_part(stack).items():
            own = torch.stack([grams[name] for name in names]).sum(0)
            found |= {f"{name}/{part}": column for name, column in similarity(own).items()}
        return {name: found[name] for name in self.names(module)}

    def interval(self, module: ReplicaModule) -> int:
        """Of how many measurements one is taken."""
        plan = module.stack.engine.plan
        cost = 1 if plan.compiles_gradients or not plan.is_compiled else _EAGER_STEPS
        return self.every or math.ceil(cost * self.batches / (_SHARE * steps_between(module)))


def steps_between(module: ReplicaModule) -> int:
    """Steps between two measurements."""
    trainer: Any = module.trainer
    steps: int = trainer.log_every_n_steps
    return steps


def parameters_by_part(stack: ReplicaStack) -> dict[str, list[str]]:
    """Names of each group's parameters; of each weight matrix by itself, where there are no groups."""
    parts: dict[str, list[str]] = {}
    for name, group in stack.spec.hyper.group.items():
        if group:
            parts.setdefault(group, []).append(name)
    return parts or {name: [name] for name, p in stack.parameters_by_name().items() if p.dim() >= 3}


def gram(rows: Float[Tensor, "batch replica number"]) -> Gram:
    """Inner products g_i . g_j."""
    by_replica = rows.transpose(0, 1)
    return by_replica @ by_replica.mT


def similarity(gram: Gram) -> dict[str, Float[Tensor, "replica"]]:
    """Mean cosine of the pairs and mean norm; the cosine is NaN where a gradient is 0."""
    norm = gram.diagonal(dim1=1, dim2=2).sqrt()
    cosine = gram / (norm[:, :, None] * norm[:, None])
    return {"gradient_cosine": _of_pairs(cosine), "gradient_norm": norm.mean(1)}


def noise(gram: Gram, batch: int | Tensor) -> dict[str, Float[Tensor, "replica"]]:
    """Estimates of |G|^2, of tr(Sigma) and of the noise scale, from batches of ``batch`` examples."""
    square = _of_pairs(gram)
    variance = batch * (gram.diagonal(dim1=1, dim2=2).mean(1) - square)
    scale = torch.where(square > 0, variance / square, math.nan)
    return {"gradient_square": square, "gradient_variance": variance, "gradient_noise_scale": scale}


def _of_pairs(table: Gram) -> Float[Tensor, "replica"]:
    distinct = ~torch.eye(table.shape[1], dtype=torch.bool, device=table.device)
    return table[:, distinct].mean(1)
