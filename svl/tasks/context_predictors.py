"""Reference predictors for in-context regression: ridge, least squares, and the Bayes estimator of a finite pool."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Without noise, ridge is the limit sigma -> 0: this value is near it, and far above the rounding of X^T X in float64.
_SMALLEST_NOISE = 1e-5
_MAX_CHUNK_NUMBERS = 2**22


def _moments(
    x: Float[Tensor, "replica batch point dim"], y: Float[Tensor, "replica batch point"]
) -> tuple[Float[Tensor, "replica batch point dim dim"], Float[Tensor, "replica batch point dim"]]:
    """X^T X and X^T y of the points before each point."""
    square, product = x[..., :, None] * x[..., None, :], x * y[..., None]
    return square.cumsum(2) - square, product.cumsum(2) - product


def ridge(
    x: Float[Tensor, "replica batch point dim"],
    y: Float[Tensor, "replica batch point"],
    variance: Float[Tensor, "replica"],
) -> Float[Tensor, "replica batch point dim"]:
    """Ridge regression on the points before each point: (X^T X + sigma^2 I)^(-1) X^T y = E[w | X, y] for w ~ N(0, I).

    Source: Kotha et al. 2025, equation 3.
    """
    square, product = _moments(x, y)
    penalty = variance.clamp(min=_SMALLEST_NOISE**2)[:, None, None, None, None]
    return torch.linalg.solve(square + penalty * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device), product)


def least_squares(
    x: Float[Tensor, "replica batch point dim"], y: Float[Tensor, "replica batch point"]
) -> Float[Tensor, "replica batch point dim"]:
    """The least-squares solution of smallest norm from the points before each point."""
    square, product = _moments(x, y)
    return (torch.linalg.pinv(square, hermitian=True, rtol=1e-10) @ product[..., None])[..., 0]


def pool_bayes(
    x: Float[Tensor, "replica batch point dim"],
    y: Float[Tensor, "replica batch point"],
    noise: Float[Tensor, "replica"],
    pool: Float[Tensor, "replica context dim"],
) -> Float[Tensor, "replica batch point dim"]:
    """The Bayes estimator E[w | X, y] from the points before each point, for w uniform on a finite pool.

    Source: Kotha et al. 2025, equation 6: sum of w phi((y - X w) / sigma) over the pool, normalised.
    """
    precision = 0.5 / noise.clamp(min=_SMALLEST_NOISE).square()[:, None, None, None]
    predictions = []
    rows = max(1, _MAX_CHUNK_NUMBERS // (pool.shape[1] * x.shape[2]))
    for part_x, part_y in zip(x.split(rows, dim=1), y.split(rows, dim=1), strict=True):
        residual = (part_y[..., None] - torch.einsum("rbpd,rcd->rbpc", part_x, pool)).square()
        log_likelihood = -precision * (residual.cumsum(2) - residual)
        predictions.append(torch.einsum("rbpc,rcd->rbpd", log_likelihood.softmax(-1), pool))
    return torch.cat(predictions, dim=1)
