"""In-context linear regression: a sequence of points of one linear function, and a query."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from svl import random
from svl.checks import check_number, check_whole
from svl.errors import SettingError
from svl.tasks import context_predictors
from svl.tasks.task import TEST_START, Task

Objective = Literal["query", "prefixes"]
_LARGEST_POOL = 2**14


class InContextRegression(Task):
    """In-context linear regression: the target is the y of the last point of a sequence, the query.

    Sequences are x_1, y_1, x_2, y_2, ..., x_n with y_i = <w, x_i> + noise.

    x_i ~ N(0, I_dim); the context w ~ N(0, (1 - beta) I + beta v v^T) with v uniform on the unit sphere, drawn once for
    each seed. A token is an x, or a y padded with zeros on the right. The contexts are an axis of diversity,
    ``context``. Test contexts are fresh and have beta = 0.

    Source: Liu et al. 2026, section 2 and figure 1c (dim 4, 15 points and a query, no noise, loss on the query); Kotha
    et al. 2025, section 2.1 and appendix B.1 (dim 20, 41 points, noise 1, loss at every prefix), and figure 6 (beta).

    Args:
        dim: number of coordinates.
        points: n, the number of points including the query.
        noise: standard deviation of the noise on every y. Can differ by replica.
        beta: correlation of the training contexts, 0 to 1. Can differ by replica.
        objective: ``query``: the only target is that of the query; ``prefixes``: there is a target at every x.

    Raises:
        SettingError: for a number out of range or an unknown objective.
    """

    target = "number"
    per_replica: ClassVar[frozenset[str]] = frozenset({"noise", "beta"})

    def __init__(
        self, dim: int = 4, points: int = 16, noise: float = 0.0, beta: float = 0.0, objective: Objective = "query"
    ) -> None:
        check_whole("dim", dim, 1)
        check_whole("points", points, 1)
        if objective not in ("query", "prefixes"):
            raise SettingError("objective", objective, "'query' or 'prefixes'")
        self.noise = check_number("noise", noise, 0, math.inf, open_high=True)
        self.beta = check_number("beta", beta, 0, 1)
        self.dim, self.points, self.objective = dim, points, objective
        self.input_shape = (2 * points - 1, dim)
        self.per_position = objective == "prefixes"
        self.axes = {"context": None}

    def contexts(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> Float[Tensor, "replica batch {self.dim}"]:
        """The contexts w with the given counters on the axis ``context``."""
        draws = random.normals(random.fold(key, "context")[:, None], index, self.dim + 1)
        direction = random.normals(random.fold(key, "direction"), torch.zeros_like(key[:, 0]), self.dim)
        direction = (direction / direction.norm(dim=1, keepdim=True))[:, None]
        beta = _with_axis(self.beta)
        return (1 - beta) ** 0.5 * draws[..., :-1] + beta**0.5 * draws[..., -1:] * direction

    def examples(
        self,
        key: Int[Tensor, "replica 2"],
        index: Int[Tensor, "replica batch"],
        context: Int[Tensor, "replica batch"] | None = None,
    ) -> tuple[Float[Tensor, "replica batch position {self.dim}"], Float[Tensor, "replica batch *position"]]:
        """Sequences and their targets; without ``context`` every example has its own context."""
        w = self.contexts(key, index if context is None else context)
        draws = random.normals(random.fold(key, "points")[:, None], index, self.points * (self.dim + 1))
        x = draws[..., : self.points * self.dim].unflatten(-1, (self.points, self.dim))
        y = (x * w[..., None, :]).sum(-1) + _with_axis(self.noise) * draws[..., self.points * self.dim :]
        padded = torch.cat([y[..., None], torch.zeros_like(x[..., 1:])], dim=-1)
        tokens = torch.stack([x, padded], dim=-2).flatten(-3, -2)[..., :-1, :]
        if self.objective == "query":
            return tokens, y[..., -1]
        targets = torch.stack([y, torch.full_like(y, math.nan)], dim=-1).flatten(-2)[..., :-1]
        return tokens, targets

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Float[Tensor, "replica batch position {self.dim}"], Float[Tensor, "replica batch *position"]]:
        """Fresh contexts from N(0, I)."""
        isotropic = self.bind({"beta": torch.zeros(len(key), device=key.device)})
        return isotropic.examples(key, TEST_START + index)

    def measures(self, outputs: Float[Tensor, "... output"], targets: Tensor) -> dict[str, Float[Tensor, "..."]]:
        """``query_loss``: the squared error at the query, if the loss is over all prefixes."""
        if self.objective == "query":
            return {}
        return {"query_loss": (outputs[..., -1, 0] - targets[..., -1]).square()}

    def predictions(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch position {self.dim}"],
        pools: Mapping[str, Int[Tensor, "replica"]],
    ) -> dict[str, Float[Tensor, "replica batch point"]]:
        """Predictions of the reference predictors at each point from the points before it, in float64, by name."""
        x = inputs[:, :, 0::2].double()
        # The last y is the target: no predictor sees it.
        y = F.pad(inputs[:, :, 1::2, 0], (0, 1)).double()
        noise = torch.as_tensor(self.noise, dtype=torch.float64, device=key.device).expand(len(key), 1).squeeze(1)
        weights = {
            "ridge": context_predictors.ridge(x, y, noise.square()),
            "least_squares": context_predictors.least_squares(x, y),
        }
        size = int(pools["context"].max()) if "context" in pools else 0
        if 0 < size <= _LARGEST_POOL:
            pool = self.contexts(key, torch.arange(size, device=key.device).expand(len(key), -1)).double()
            weights["pool"] = context_predictors.pool_bayes(x, y, noise, pool)
        return {name: (w * x).sum(-1) for name, w in weights.items()}

    def references(
        self,
        key: Int[Tensor, "replica 2"],
        inputs: Float[Tensor, "replica batch position {self.dim}"],
        targets: Float[Tensor, "replica batch *position"],
        pools: Mapping[str, Int[Tensor, "replica"]],
    ) -> dict[str, Float[Tensor, "replica"]]:
        """``ridge`` (optimal for the test contexts), ``least_squares`` and, for a pool, its Bayes estimator ``pool``.

        If the loss is over all prefixes, also the loss of each at the query, ``<name>_query``.
        """
        last = targets if self.objective == "query" else targets[..., -1]
        y = torch.cat([inputs[:, :, 1::2, 0], last[..., None]], dim=-1).double()
        losses = {}
        for name, predicted in self.predictions(key, inputs, pools).items():
            error = (predicted - y).square().float()
            if self.objective == "prefixes":
                losses[name], losses[f"{name}_query"] = error.mean((1, 2)), error[..., -1].mean(1)
            else:
                losses[name] = error[..., -1].mean(1)
        return losses


def _with_axis(number: float | Float[Tensor, "replica 1"]) -> float | Float[Tensor, "replica 1 1"]:
    """A setting, with a new last axis if it differs by replica: ``[replica, 1]`` becomes ``[replica, 1, 1]``."""
    return number[..., None] if isinstance(number, Tensor) else number
