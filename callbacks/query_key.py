"""Attention logits and entropy, and the norms of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from svl.callbacks.measurement import Measurement, forward, test_examples
from svl.checks import check_whole
from svl.errors import SettingError
from svl.models.transformer import Attention
from svl.training.replica_module import ReplicaModule


class QueryKey(Measurement):
    """Columns ``qk/<layer>.<head>/<statistic>`` for every attention layer and head, both numbered from 0.

    ``logit_max``, ``logit_mean`` and ``logit_std``: of the attention logits q.k / sqrt(d_head), over test examples and
    all pairs of positions of which the first attends to the second; ``entropy``: the mean entropy of attention over
    positions, in nats (Zhai et al. 2023); ``q_norm`` and ``k_norm``: the Frobenius norms of the head's W_Q and W_K;
    ``qk_norm``: the spectral norm of its W_Q^T W_K. A normalisation of q and k affects the logits, not the norms.

    Cost: a forward pass over ``examples`` test examples for each measurement.

    Args:
        examples: number of test examples.

    Raises:
        SettingError: for ``examples`` below 1 or a network without attention.
    """

    statistics = ("logit_max", "logit_mean", "logit_std", "entropy", "q_norm", "k_norm", "qk_norm")

    def __init__(self, examples: int = 16) -> None:
        check_whole("examples", examples, 1)
        self.examples = examples

    def names(self, module: ReplicaModule) -> Sequence[str]:
        layers = _layers(module)
        if not layers:
            raise SettingError("trainer.callbacks", "QueryKey", "networks with attention: Transformer")
        return [
            f"qk/{number}.{head}/{statistic}"
            for number, layer in enumerate(layers.values())
            for head in range(layer.heads)
            for statistic in self.statistics
        ]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        layers, parameters = _layers(module), module.stack.parameters_by_name()
        weights = [
            of_weights(parameters[f"{name}.q.weight"], parameters[f"{name}.k.weight"], layer.heads)
            for name, layer in layers.items()
        ]
        both = zip(self._logits(module, list(layers.values())), weights, strict=True)
        columns = torch.cat([torch.cat(statistics, dim=-1).flatten(1) for statistics in both], dim=1)
        return dict(zip(self.names(module), columns.unbind(1), strict=True))

    def _logits(self, module: ReplicaModule, layers: list[Attention]) -> list[Float[Tensor, "replica head statistic"]]:
        inputs, _ = test_examples(module.stack, self.examples)
        seen: list[Tensor] = []

        def look(layer: Attention, arguments: tuple[Tensor]) -> None:
            seen.append(of_logits(*layer.queries_and_keys(*arguments), layer.causal))

        def read(outputs: Tensor) -> list[Tensor]:
            statistics = seen.copy()
            seen.clear()
            return statistics

        with ExitStack() as hooks:
            for layer in layers:
                hooks.enter_context(layer.register_forward_pre_hook(look))
            return forward(module.stack, inputs, read)


def _layers(module: ReplicaModule) -> dict[str, Attention]:
    return {name: part for name, part in module.stack.network.named_modules() if isinstance(part, Attention)}


def of_logits(
    q: Float[Tensor, "batch head position d_head"], k: Float[Tensor, "batch head position d_head"], causal: bool
) -> Float[Tensor, "head 4"]:
    """Maximum, mean and standard deviation of the attention logits, and the mean entropy, of each head."""
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    position = torch.arange(q.shape[-2], device=q.device)
    visible = position <= position[:, None] if causal else torch.ones_like(position).bool().expand(len(position), -1)
    pairs = rearrange(logits[..., visible], "batch head pair -> head (batch pair)")
    entropy = torch.special.entr(logits.masked_fill(~visible, -math.inf).softmax(-1)).sum(-1)
    return torch.stack([pairs.amax(1), pairs.mean(1), pairs.std(1, correction=0), entropy.mean((0, 2))], dim=1)


def of_weights(
    q: Float[Tensor, "replica width input"], k: Float[Tensor, "replica width input"], heads: int
) -> Float[Tensor, "replica head 3"]:
    """Frobenius norms of W_Q and W_K and the spectral norm of W_Q^T W_K, of each head."""
    q, k = (rearrange(w, "replica (head d_head) input -> replica head d_head input", head=heads) for w in (q, k))
    # With W_Q^T = A R and W_K^T = B S, A and B orthonormal, W_Q^T W_K = A R S^T B^T has the norm of R S^T.
    factors = [torch.linalg.qr(_finite(w).mT, mode="r").R for w in (q, k)]
    frobenius = [torch.linalg.matrix_norm(w) for w in (q, k)]
    spectral = torch.linalg.matrix_norm(factors[0] @ factors[1].mT, ord=2)
    return torch.stack([*frobenius, spectral + 0 * (frobenius[0] + frobenius[1])], dim=-1)


def _finite(weight: Tensor) -> Tensor:
    """Zeros instead of numbers that are not finite, with which LAPACK would fail for all replicas."""
    return weight.nan_to_num(0, 0, 0)
