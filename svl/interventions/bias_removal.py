"""Bias removal: reused sets without sampling bias in their low-order statistics."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.errors import SettingError
from svl.interventions.balancing import balance, balance_classes, class_divisor
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
    """Gives the set that each phase reuses exactly the population's low-order statistics.

    ``mean``: the mean of x is 0. ``class_means``: so are the mean of y and that of x given y. ``whitening``: mean 0 and
    covariance I, x <- Sigma^(-1/2) (x - mu). Nested sets stay nested, since the examples that a phase adds have no bias
    by themselves. As few signs as possible are flipped, chosen at random; labels are those that the task gives to the
    new inputs. Examples outside of reused sets are not changed; nor is the enumerated population, which has no bias.

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
        blocks = [_blocks(sets) for sets in _sets(data, settings)]
        if not any(blocks):
            allowed = "strategies that reuse a set of examples"
            raise SettingError(prefix.rstrip("."), f"BiasRemoval with {type(data).__name__}", allowed)
        cases = list(zip(replicas.seed, kinds, map(tuple, blocks), strict=True))
        changes: dict[Any, dict[str, Tensor]] = {}
        for replica, case in enumerate(cases):
            if case not in changes:
                _, kind, ranges = case
                removal = _Removal(data.task, key[replica][None], prefix + "kind", kind)
                changes[case] = removal.signs(ranges) if data.task.input_law == "signs" else removal.gaussians(ranges)
        rows = [changes[case] for case in cases]
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        index, inputs = batch.index, batch.inputs
        if "flips" in settings:
            flips = settings["flips"]
            row = torch.arange(len(index), device=index.device)[:, None]
            inside = index < flips.shape[1]
            flip = flips[row, torch.where(inside, index, 0)]
            changed = inputs * torch.where(inside[..., None], flip, 1).to(inputs.dtype)
        else:
            changed = inputs
            for block in range(settings["end"].shape[1]):
                inside = (index >= settings["start"][:, block, None]) & (index < settings["end"][:, block, None])
                moved = (inputs - settings["shift"][:, block, None]) @ settings["matrix"][:, block]
                changed = torch.where(inside[..., None], moved, changed)
        enumerated = batch.enumerated()
        if enumerated is not None:
            changed = torch.where(enumerated[:, None, None], inputs, changed)
        return changed, batch.task.labels(batch.key, changed, index)


def _sets(data: ReuseDataModule, settings: dict[str, Tensor]) -> list[list[list[int]]]:
    """Each replica's reused sets, as first index and number of examples; 0 examples for enumerated populations."""
    sets = data.sets(settings)
    if data.enumerates(settings):
        sets = torch.where(settings["enumerated"].view(len(sets), -1, 1), 0, sets)
    by_replica: list[list[list[int]]] = sets.tolist()
    return by_replica


def _check_kind(key: str, kind: str, task: Task) -> None:
    kinds = _OF_SIGNS if task.input_law == "signs" else _OF_GAUSSIANS
    if kind not in kinds:
        raise SettingError(key, kind, f"{', '.join(kinds)} for {type(task).__name__}")
    if kind == "class_means" and (task.label_count != 2 or getattr(task, "degree", 0) < 2):
        raise SettingError(key, kind, f"{_OF_SIGNS[1]}: labels are not the parity of two or more signs")


class _Removal:
    """The changes of one replica's examples; everything random is drawn from its key.

    Args:
        task: what is learned.
        key: the replica's.
        name: name of the setting, for errors.
        kind: its value.
    """

    def __init__(self, task: Task, key: Int[Tensor, "1 2"], name: str, kind: str) -> None:
        self.task, self.key, self.name, self.kind = task, key, name, kind

    def signs(self, blocks: tuple[tuple[int, int], ...]) -> dict[str, Tensor]:
        """``flips``: 1 or -1 for every coordinate of every example ``[example, dim]``."""
        task: Any = self.task
        blocks = blocks if self.kind != "none" else ()
        end, dim = max((end for _, end in blocks), default=0), task.input_shape[0]
        if end * dim > _LARGEST_TABLE:
            raise SettingError(self.name, self.kind, f"none for sets of more than {_LARGEST_TABLE // dim} examples")
        flips = torch.ones(max(end, 1), dim, dtype=torch.int8)
        for start, stop in blocks:
            index = torch.arange(start, stop)[None]
            x, y = (part[0].to(torch.int64) for part in task.examples(self.key, index))
            # A random order of the examples for each coordinate: the first in it are flipped.
            order = (random.uniforms(random.fold(self.key, "bias removal")[:, None], index, dim)[0] * 2**24).long()
            if self.kind == "class_means":
                support = task.support_mask(self.key)[0].nonzero()[:, 0]
                self._check_divisible(len(x), class_divisor(len(support)))
                balanced = balance_classes(x, y, support, order)
            else:
                self._check_divisible(len(x), 2)
                balanced = balance(x, order)
            flips[start:stop] = (balanced * x).to(torch.int8)
        return {"flips": flips}

    def gaussians(self, blocks: tuple[tuple[int, int], ...]) -> dict[str, Tensor]:
        """``x <- (x - shift) matrix`` for the examples ``start`` to ``end - 1`` of each block."""
        dim, blocks = self.task.input_shape[0], blocks if self.kind != "none" else ()
        shift, matrix = torch.zeros(max(len(blocks), 1), dim), torch.eye(dim).repeat(max(len(blocks), 1), 1, 1)
        for number, (start, stop) in enumerate(blocks):
            x = self.task.examples(self.key, torch.arange(start, stop)[None])[0][0].double()
            shift[number] = x.mean(0)
            if self.kind == "whitening":
                if stop - start <= dim:
                    raise SettingError(self.name, self.kind, f"sets of more than dim = {dim} examples in each phase")
                values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
                matrix[number] = vectors @ torch.diag(values.rsqrt()) @ vectors.T
        bounds = torch.tensor(blocks or [(0, 0)])
        return {"start": bounds[:, 0], "end": bounds[:, 1], "shift": shift, "matrix": matrix}

    def _check_divisible(self, count: int, divisor: int) -> None:
        if count % divisor:
            allowed = f"sets, and additions of each phase, of a size divisible by {divisor}; got {count}"
            raise SettingError(self.name, self.kind, allowed)


def _blocks(sets: list[list[int]]) -> list[tuple[int, int]]:
    """Disjoint ranges of indices, each from its first to behind its last, of which all sets are unions."""
    edges = sorted({edge for first, size in sets if size for edge in (first, first + size)})
    covered = [(first, first + size) for first, size in sets if size]
    return [(a, b) for a, b in pairwise(edges) if any(first <= a and b <= last for first, last in covered)]


def _stacked(parts: list[Tensor]) -> Float[Tensor, "replica ..."] | Int[Tensor, "replica ..."]:
    """Tables of unequal length in one tensor, padded with values that change nothing."""
    length = max(len(part) for part in parts)
    padded = []
    for part in parts:
        rest = part.new_zeros(length - len(part), *part.shape[1:])
        padded.append(torch.cat((part, rest + 1 if part.dtype == torch.int8 else rest)))
    return torch.stack(padded)
