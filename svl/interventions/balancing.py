"""Signs with balanced columns: as few as possible are flipped until as many are -1 as 1."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def balance(x: Int[Tensor, "n dim"], order: Int[Tensor, "n dim"]) -> Int[Tensor, "n dim"]:
    """Signs with as many -1 as 1 in every column.

    Args:
        x: signs, in an even number of rows.
        order: a random order of the rows for each column; the first that can be flipped are flipped.
    """
    excess = x.sum(0)
    majority = x == excess.sign()
    # The rank of each row among those that could be flipped.
    rank = torch.where(majority, order, 2**62).argsort(dim=0, stable=True).argsort(0)
    return torch.where(majority & (rank < excess.abs() // 2), -x, x)


def class_divisor(factors: int) -> int:
    """What the number of rows must be divisible by for :func:`balance_classes`.

    Args:
        factors: number of columns of which the label is the product.
    """
    # In a class of a product of an odd number of columns, pairs of flips cannot balance every even number of rows.
    return 4 if factors % 2 == 0 else 8


def balance_classes(
    x: Int[Tensor, "n dim"], y: Int[Tensor, "n"], support: Int[Tensor, "factor"], order: Int[Tensor, "n dim"]
) -> Int[Tensor, "n dim"]:
    """Signs with as many labels -1 as 1, and as many -1 as 1 in every column of each class.

    Args:
        x: signs, in a number of rows that :func:`class_divisor` divides.
        y: the label of each row, the product of some columns.
        support: these columns, two or more.
        order: a random order of the rows for each column; the first that can be flipped are flipped.
    """
    x, y = x.clone(), y.clone()
    excess = int(y.sum())
    majority = (y == (1 if excess > 0 else -1)).nonzero()[:, 0]
    chosen = majority[order[majority, support[0]].argsort(stable=True)[: abs(excess) // 2]]
    column = support[order[chosen, support[-1]] % len(support)]
    x[chosen, column] *= -1
    y[chosen] *= -1
    for label in (-1, 1):
        rows = (y == label).nonzero()[:, 0]
        balanced = balance(x[rows], order[rows])
        balanced[:, support] = _balance_pairs(x[rows][:, support], order[rows][:, support])
        x[rows] = balanced
    return x


def _balance_pairs(x: Int[Tensor, "n column"], order: Int[Tensor, "n column"]) -> Int[Tensor, "n column"]:
    """Signs with as many -1 as 1 in every column; two of a row are flipped at a time, which keeps its product."""
    x = x.clone()
    while (excess := x.sum(0)).any():
        first, second = excess.abs().argsort(descending=True, stable=True)[:2].tolist()
        sign = [int(excess[column]) or 1 for column in (first, second)]
        count = max(min(abs(int(excess[first])), abs(int(excess[second]))) // 2, 1)
        could = (x[:, first] * sign[0] > 0) & (x[:, second] * sign[1] > 0)
        rows = could.nonzero()[:, 0]
        rows = rows[order[rows, first].argsort(stable=True)[:count]]
        x[rows, first] *= -1
        x[rows, second] *= -1
    return x
