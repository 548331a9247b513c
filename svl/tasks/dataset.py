"""Any stored dataset as a task."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.tasks import items
from svl.tasks.items import Items
from svl.tasks.table import Table
from svl.tasks.task import Task


class Dataset(Task):
    """The items of a dataset; whole numbers as targets are classes, others are regressed on.

    Example number i is training item pi(i mod ``train_size``), pi a permutation drawn once a replica: the first N
    examples are N random items, others for each seed. The training items as they lie are the population. They are read
    once, with the global generators of Python, NumPy and PyTorch at seed 0, so random augmentations are frozen.

    Args:
        dataset: the import path of a dataset, or of a function or class that makes one; an ``.npz`` file; from Python,
            any of these objects. It may be map-style, with items that are pairs (input, target) or mappings such as the
            rows of a Hugging Face dataset; a pair (X, y) of arrays; or a mapping of arrays, such as scikit-learn's.
            PIL images become floats in [0, 1], channel first.
        arguments: with which a function or class is called.
        columns: names of input and target in mappings; ``None`` for the usual names, such as data and target.
        shape: of one input; ``None`` for its own.
        standardise: subtract one mean from all inputs and divide by one standard deviation, those of all numbers of the
            training inputs.
        vocabulary: number of distinct tokens, of inputs that are tokens; these are not standardised.
        held_out: share of the items that is tested on, above 0 and below 1, the same items for every replica.
        test: a dataset to test on instead; as ``dataset``.
        test_arguments: with which that is made.

    Raises:
        SettingError: for what cannot be imported, made or read; items that do not have the same shape, too few of them,
            numbers that are not finite, a single class; and other arguments out of range.
    """

    train_size: int
    test_size: int

    def __init__(
        self,
        dataset: Any,
        arguments: dict[str, Any] | None = None,
        columns: list[str] | None = None,
        shape: list[int] | None = None,
        standardise: bool = True,
        vocabulary: int | None = None,
        held_out: float = 0.2,
        test: Any = None,
        test_arguments: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(held_out, bool) or not isinstance(held_out, int | float) or not 0 < held_out < 1:
            raise SettingError("data.task.held_out", held_out, "a share of the items, above 0 and below 1")
        if not isinstance(standardise, bool):
            raise SettingError("data.task.standardise", standardise, "true or false")
        if vocabulary is not None:
            check_whole("data.task.vocabulary", vocabulary, 1, allowed="a whole number, at least 1, or null")
        if columns is not None and not (_is_list(columns, str) and len(columns) == 2):
            raise SettingError("data.task.columns", columns, "two names, of inputs and targets, or null")
        if shape is not None and not (_is_list(shape, int) and all(side >= 1 for side in shape)):
            raise SettingError("data.task.shape", shape, "a list of whole numbers, at least 1, or null")
        for name, value in (("arguments", arguments), ("test_arguments", test_arguments)):
            if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
                raise SettingError(f"data.task.{name}", value, "a mapping from names to values, or null")
        if test is None and test_arguments is not None:
            raise SettingError("data.task.test_arguments", test_arguments, "null without test")
        self.dataset, self.arguments, self.columns, self.shape = dataset, arguments, columns, shape
        self.standardise, self.vocabulary, self.held_out = standardise, vocabulary, held_out
        self.test, self.test_arguments = test, test_arguments

        train = items.read("dataset", dataset, arguments, columns)
        if test is None:
            train, held = _hold_out(train, held_out)
        else:
            held = items.read("test", test, test_arguments, columns)
            kinds = [f"inputs {part.inputs.shape[1:]}, targets {_kind(part)}" for part in (held, train)]
            if kinds[0] != kinds[1]:
                raise SettingError("data.task.test", kinds[0], f"{kinds[1]}, as in dataset")
        own = train.inputs.shape[1:] or (1,)
        self.input_shape = own if shape is None else tuple(shape)
        if math.prod(self.input_shape) != math.prod(own):
            raise SettingError("data.task.shape", shape, f"{math.prod(own)} numbers: inputs are {own}")
        self.losses: tuple[str, ...] = ("squared",)
        if _kind(train) == "classes":
            self.losses = ("cross_entropy",)
            train, held, self.output_dim = _numbered(train, held)
        self._train, self._test = (
            Table(inputs, torch.from_numpy(part.targets.astype(np.int64 if self.has_accuracy else np.float32)))
            for part, inputs in zip((train, held), self._inputs(train.inputs, held.inputs), strict=True)
        )
        self.train_size = self.population_size = len(self._train)
        self.test_size = len(self._test)
        digest = hashlib.sha256(self._train.hashed() + self._test.hashed()).hexdigest()[:16]
        self.digest = f"{digest} ({self.train_size} training items, {self.test_size} test items)"

    def _inputs(self, *parts: np.ndarray) -> list[Shaped[Tensor, "item ..."]]:
        """Tokens as they are, or numbers on the scale of the first part."""
        parts = tuple(part.reshape(len(part), *self.input_shape) for part in parts)
        if self.vocabulary is not None:
            for part in parts:
                if part.ndim != 2 or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= self.vocabulary:
                    found = f"{part.dtype} from {part.min()} to {part.max()} of shape {self.input_shape}"
                    allowed = f"null, or what inputs fit that are rows of tokens; they are {found}"
                    raise SettingError("data.task.vocabulary", self.vocabulary, allowed)
            return [torch.from_numpy(part.astype(np.int64)) for part in parts]
        mean, deviation = 0.0, 1.0
        if self.standardise:
            mean, deviation = (float(value(parts[0], dtype=np.float64)) for value in (np.mean, np.std))
            if deviation == 0:
                raise SettingError("data.task.standardise", True, "false: all numbers of the inputs are the same")
        # Not in the precision of bytes or half floats.
        exact = (part.astype(np.promote_types(part.dtype, np.float32), copy=False) for part in parts)
        return [torch.from_numpy(((part - mean) / deviation).astype(np.float32)) for part in exact]

    @property
    def has_accuracy(self) -> bool:
        """Only classes can be right."""
        return self.losses == ("cross_entropy",)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The training items in each replica's own order."""
        return self.population(key, self._train.shuffled(random.fold(key, "item"), index))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The training items as they lie."""
        inputs, targets = self._train[index]
        return inputs, targets

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The test items as they lie, the same for every replica."""
        inputs, targets = self._test[index]
        return inputs, targets

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Shaped[Tensor, "..."]
    ) -> Bool[Tensor, "..."] | None:
        """The largest output is that of the target's class."""
        return outputs.argmax(-1) == targets if self.has_accuracy else None


def _is_list(value: object, of: type) -> bool:
    """Whether it is a list of one kind of values; a bool is no number."""
    return isinstance(value, list | tuple) and bool(value) and all(type(one) is of for one in value)


def _kind(items: Items) -> str:
    return "classes" if items.targets.dtype.kind == "i" else "floats"


def _hold_out(items: Items, share: float) -> tuple[Items, Items]:
    """Items to train on and a random share to test on, at least one, both in the order in which they lie."""
    count = len(items.targets)
    if count < 2:
        raise SettingError("data.task.dataset", f"{count} item", "two items or more: some are held out")
    # All replicas are tested on the same items, so this order belongs to no seed.
    key = random.fold(random.key(torch.zeros(1, dtype=torch.int64)), "held out")
    order = Table(torch.arange(count)).shuffled(key, torch.arange(count)[None])[0]
    is_held = (order < min(max(1, round(share * count)), count - 1)).numpy()
    return Items(*(part[~is_held] for part in items)), Items(*(part[is_held] for part in items))


def _numbered(train: Items, held: Items) -> tuple[Items, Items, int]:
    """Classes numbered from 0 in their order, and how many there are."""
    classes, number = np.unique(np.concatenate([train.targets, held.targets]), return_inverse=True)
    if len(classes) < 2:
        raise SettingError("data.task.dataset", f"one class, {classes[0]}", "targets of two classes or more, or floats")
    first, second = np.split(number, [len(train.targets)])
    return train._replace(targets=first), held._replace(targets=second), len(classes)
