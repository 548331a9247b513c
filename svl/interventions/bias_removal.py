"""Reused sets without sampling bias in their low-order statistics."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention
from svl.replicas import Replicas
from svl.tasks.task import Task

if TYPE_CHECKING:
    from svl.data.draw import Settings
    from svl.data.reuse import ReuseDataModule

Kind = Literal["none", "mean", "class_means", "whitening"]
KINDS: tuple[str, ...] = get_args(Kind)
_OF_SIGNS, _OF_GAUSSIANS = KINDS[:3], ("none", "mean", "whitening")
_LARGEST_TABLE = 2**28


class BiasRemoval(DataIntervention):
    """The set that each phase reuses has exactly the population's low-order statistics.

    ``mean``: the mean of x is 0. ``class_means``: so is the mean of y, and that of x given y. ``whitening``: mean 0 and
    covariance I, x <- Sigma^(-1/2) (x - mu). Sets that contain each other keep doing so: what a phase adds is itself
    without bias. Few signs are turned, picked at random; labels are the task's own for the new inputs.
    Examples outside of reused sets stay as they are, and so does the enumerated population, which has no bias.

    Source: Liu et al. 2026, section 4.1.3, figures 3a and 16.

    Args:
        kind: ``mean`` or ``class_means`` for inputs in {-1, 1}, ``mean`` or ``whitening`` for Gaussian ones, or
            ``none``. Can vary by replica.

    Raises:
        SettingError: for a kind that the task's inputs do not allow, or sets whose size does not.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"kind"})
    changes_inputs = True

    def __init__(self, kind: Kind = "mean") -> None:
        if kind not in KINDS:
            raise SettingError("kind", kind, ", ".join(KINDS))
        self.kind = kind

    def check(self, key: str, data: ReuseDataModule) -> None:
        task = data.task
        if task.input_law is None:
            allowed = f"tasks whose inputs are signs or Gaussian, unlike {type(task).__name__}"
            raise SettingError(key, "BiasRemoval", allowed)

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        kinds, key = replicas.columns(prefix, self)["kind"], replicas.key()
        for kind in set(kinds):
            _check_kind(f"{prefix}kind", kind, data.task)
        blocks = [_blocks(sets) for sets in self._sets(data, settings)]
        if not any(blocks):
            allowed = "strategies that reuse a set of examples"
            raise SettingError(prefix.rstrip("."), f"BiasRemoval with {type(data).__name__}", allowed)
        changed: dict[Any, dict[str, Tensor]] = {}
        for replica, about in enumerate(zip(replicas.seed, kinds, map(tuple, blocks), strict=True)):
            if about not in changed:
                one = _Removal(data, key[replica][None], prefix + "kind", about[1])
                changed[about] = one.turned(about[2]) if data.task.input_law == "signs" else one.moved(about[2])
        rows = [changed[about] for about in zip(replicas.seed, kinds, map(tuple, blocks), strict=True)]
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        index, inputs = batch.index, batch.inputs
        if "turns" in settings:
            turns = settings["turns"]
            row = torch.arange(len(index), device=index.device)[:, None]
            inside = index < turns.shape[1]
            turned = turns[row, torch.where(inside, index, 0)]
            found = inputs * torch.where(inside[..., None], turned, 1).to(inputs.dtype)
        else:
            found = inputs
            for block in range(settings["end"].shape[1]):
                inside = (index >= settings["start"][:, block, None]) & (index < settings["end"][:, block, None])
                moved = (inputs - settings["shift"][:, block, None]) @ settings["matrix"][:, block]
                found = torch.where(inside[..., None], moved, found)
        enumerated = batch.enumerated()
        if enumerated is not None:
            found = torch.where(enumerated[:, None, None], inputs, found)
        return found, batch.task.labels(batch.key, found, index)

    def _sets(self, data: ReuseDataModule, settings: dict[str, Tensor]) -> list[list[list[int]]]:
        """Each replica's reused sets, first index and number of examples, but for enumerated populations."""
        sets = data.sets(settings)
        if data.enumerates(settings):
            sets = torch.where(settings["enumerated"].view(len(sets), -1, 1), 0, sets)
        found: list[list[list[int]]] = sets.tolist()
        return found


def _check_kind(key: str, kind: str, task: Task) -> None:
    kinds = _OF_SIGNS if task.input_law == "signs" else _OF_GAUSSIANS
    if kind not in kinds:
        raise SettingError(key, kind, f"{', '.join(kinds)} for {type(task).__name__}")
    if kind == "class_means" and (task.label_count != 2 or getattr(task, "degree", 0) < 2):
        raise SettingError(key, kind, f"{_OF_SIGNS[1]}: labels are no parity of two or more signs")


class _Removal:
    """How one replica's examples are changed; everything is drawn from its key."""

    def __init__(self, data: ReuseDataModule, key: Int[Tensor, "1 2"], name: str, kind: str) -> None:
        self.data, self.key, self.name, self.kind = data, key, name, kind

    def turned(self, blocks: tuple[tuple[int, int], ...]) -> dict[str, Tensor]:
        """``turns``: 1 or -1 for every coordinate of every example ``[example, dim]``."""
        end, dim = max((end for _, end in blocks), default=0), self.data.task.input_shape[0]
        if self.kind == "none":
            end = 0
        if end * dim > _LARGEST_TABLE:
            raise SettingError(self.name, self.kind, f"none for sets of more than {_LARGEST_TABLE // dim} examples")
        turns = torch.ones(max(end, 1), dim, dtype=torch.int8)
        for start, stop in blocks if self.kind != "none" else ():
            index = torch.arange(start, stop)[None]
            x, y = (part[0].to(torch.int64) for part in self.data.task.examples(self.key, index))
            # A random order of the examples for each coordinate: those first in it are turned.
            order = (random.uniforms(random.fold(self.key, "bias removal")[:, None], index, dim)[0] * 2**24).long()
            balanced = self._balance_classes(x, y, order) if self.kind == "class_means" else self._balance(x, order)
            turns[start:stop] = (balanced * x).to(torch.int8)
        return {"turns": turns}

    def moved(self, blocks: tuple[tuple[int, int], ...]) -> dict[str, Tensor]:
        """``x <- (x - shift) matrix`` for the examples ``start`` to ``end - 1`` of each block."""
        dim, blocks = self.data.task.input_shape[0], blocks if self.kind != "none" else ()
        shift, matrix = torch.zeros(max(len(blocks), 1), dim), torch.eye(dim).repeat(max(len(blocks), 1), 1, 1)
        for number, (start, stop) in enumerate(blocks):
            x = self.data.task.examples(self.key, torch.arange(start, stop)[None])[0][0].double()
            shift[number] = x.mean(0)
            if self.kind == "whitening":
                if stop - start <= dim:
                    raise SettingError(self.name, self.kind, f"sets of more than dim = {dim} examples in each phase")
                values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
                matrix[number] = vectors @ torch.diag(values.rsqrt()) @ vectors.T
        bounds = torch.tensor(blocks or [(0, 0)])
        return {"start": bounds[:, 0], "end": bounds[:, 1], "shift": shift, "matrix": matrix}

    def _balance(self, x: Int[Tensor, "n dim"], order: Int[Tensor, "n dim"]) -> Int[Tensor, "n dim"]:
        """As many -1 as 1 in every column."""
        self._check_divisible(len(x), 2)
        excess = x.sum(0)
        majority = x == excess.sign()
        # The rank of each example among those that could be turned.
        rank = torch.where(majority, order, 2**62).argsort(dim=0, stable=True).argsort(0)
        return torch.where(majority & (rank < excess.abs() // 2), -x, x)

    def _balance_classes(
        self, x: Int[Tensor, "n dim"], y: Int[Tensor, "n"], order: Int[Tensor, "n dim"]
    ) -> Int[Tensor, "n dim"]:
        """As many labels -1 as 1, and as many -1 as 1 in every column of each class; y is a product of columns."""
        task: Any = self.data.task
        support = task.support_mask(self.key)[0].nonzero()[:, 0]
        # With an odd number of factors, the classes' own parities ask for more.
        self._check_divisible(len(x), 4 if len(support) % 2 == 0 else 8)
        x = x.clone()
        excess = int(y.sum())
        wrong = (y == (1 if excess > 0 else -1)).nonzero()[:, 0]
        chosen = wrong[order[wrong, support[0]].argsort(stable=True)[: abs(excess) // 2]]
        column = support[order[chosen, support[-1]] % len(support)]
        x[chosen, column] *= -1
        y = y.clone()
        y[chosen] *= -1
        for label in (-1, 1):
            rows = (y == label).nonzero()[:, 0]
            own, own_order = x[rows], order[rows]
            kept = own[:, support]
            own = self._balance(own, own_order)
            own[:, support] = _balance_pairs(kept, own_order[:, support])
            x[rows] = own
        return x

    def _check_divisible(self, count: int, divisor: int) -> None:
        if count % divisor:
            allowed = f"sizes (and what each phase adds) that {divisor} divides; {count} is none"
            raise SettingError(self.name, self.kind, allowed)


def _balance_pairs(x: Int[Tensor, "n column"], order: Int[Tensor, "n column"]) -> Int[Tensor, "n column"]:
    """As many -1 as 1 in every column, turning two signs of a row at a time, which keeps its product."""
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


def _blocks(sets: list[list[int]]) -> list[tuple[int, int]]:
    """Ranges of indices, none in two, of which all sets are made up."""
    edges = sorted({edge for first, size in sets if size for edge in (first, first + size)})
    covered = [(first, first + size) for first, size in sets if size]
    return [(a, b) for a, b in pairwise(edges) if any(first <= a and b <= last for first, last in covered)]


def _stacked(parts: list[Tensor]) -> Float[Tensor, "replica ..."] | Int[Tensor, "replica ..."]:
    """Tables of unequal length as one, padded with what changes nothing."""
    length = max(len(part) for part in parts)
    padded = []
    for part in parts:
        rest = part.new_zeros(length - len(part), *part.shape[1:])
        padded.append(torch.cat((part, rest + 1 if part.dtype == torch.int8 else rest)))
    return torch.stack(padded)
