"""A stored dataset as a task."""

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
from svl.tasks import dataset_source
from svl.tasks.items import Items
from svl.tasks.table import Table
from svl.tasks.task import Task


class Dataset(Task):
    """A dataset for classification, if its targets are whole numbers, or for regression.

    Example number i is training item pi(i mod ``train_size``), where the permutation pi is drawn once for each replica:
    the first N examples are N random items, and each seed has different ones. The population is all training items in
    their stored order. Items are read once, with the global random generators of Python, NumPy and PyTorch at seed 0,
    so a random augmentation is applied only once.

    Args:
        dataset: the import path of a dataset, or of a function or class that makes one; the path of an ``.npz`` file;
            or, from Python, the object itself. It can be a map-style dataset, whose items are pairs (input, target) or
            mappings such as the rows of a Hugging Face dataset; a pair (X, y) of arrays; or a mapping of arrays, such
            as scikit-learn's. PIL images become floats in [0, 1] with the channel axis first.
        arguments: arguments with which a function or class is called.
        columns: names of input and target in mappings; ``None`` for the usual names, such as data and target.
        shape: shape of one input; ``None`` for the shape it has.
        standardise: subtract the mean of all numbers in the training inputs and divide by their standard deviation.
        vocabulary: number of distinct tokens if inputs are tokens, which are not standardised; otherwise ``None``.
        held_out: fraction of the items in the test set, above 0 and below 1; all replicas have the same test set.
        test: a separate dataset for the test set, given as ``dataset`` is.
        test_arguments: arguments with which ``test`` is called.

    Raises:
        SettingError: for a dataset that cannot be imported, made or read; for items of different shapes, too few items,
            numbers that are not finite, or a single class; and for other arguments out of range.
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
            raise SettingError("held_out", held_out, "a share of the items, above 0 and below 1")
        if not isinstance(standardise, bool):
            raise SettingError("standardise", standardise, "true or false")
        if vocabulary is not None:
            check_whole("vocabulary", vocabulary, 1, allowed="a whole number, at least 1, or null")
        if columns is not None and not (_is_list(columns, str) and len(columns) == 2):
            raise SettingError("columns", columns, "two names, of inputs and targets, or null")
        if shape is not None and not (_is_list(shape, int) and all(side >= 1 for side in shape)):
            raise SettingError("shape", shape, "a list of whole numbers, at least 1, or null")
        for name, value in (("arguments", arguments), ("test_arguments", test_arguments)):
            if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
                raise SettingError(name, value, "a mapping from names to values, or null")
        if test is None and test_arguments is not None:
            raise SettingError("test_arguments", test_arguments, "null without test")
        self.dataset, self.arguments, self.columns, self.shape = dataset, arguments, columns, shape
        self.standardise, self.vocabulary, self.held_out = standardise, vocabulary, held_out
        self.test, self.test_arguments = test, test_arguments

        train = dataset_source.read("dataset", dataset, arguments, columns)
        if test is None:
            train, held = _hold_out(train, held_out)
        else:
            held = dataset_source.read("test", test, test_arguments, columns)
            kinds = [f"inputs {part.inputs.shape[1:]}, targets {_kind(part)}" for part in (held, train)]
            if kinds[0] != kinds[1]:
                raise SettingError("test", kinds[0], f"{kinds[1]}, as in dataset")
        stored = train.inputs.shape[1:] or (1,)
        self.input_shape = stored if shape is None else tuple(shape)
        if math.prod(self.input_shape) != math.prod(stored):
            raise SettingError("shape", shape, f"{math.prod(stored)} numbers: inputs are {stored}")
        self.target = "number"
        if _kind(train) == "classes":
            self.target = "class"
            train, held, self.output_dim = _number_classes(train, held)
        self._train, self._test = (
            Table(inputs, torch.from_numpy(part.targets.astype(np.int64 if self.has_accuracy else np.float32)))
            for part, inputs in zip((train, held), self._prepare(train.inputs, held.inputs), strict=True)
        )
        self.train_size = self.population_size = len(self._train)
        self.test_size = len(self._test)
        digest = hashlib.sha256(self._train.hashed() + self._test.hashed()).hexdigest()[:16]
        self.digest = f"{digest} ({self.train_size} training items, {self.test_size} test items)"

    def _prepare(self, *parts: np.ndarray) -> list[Shaped[Tensor, "item ..."]]:
        """Inputs as tensors: tokens unchanged, other numbers standardised by the first part's mean and deviation."""
        parts = tuple(part.reshape(len(part), *self.input_shape) for part in parts)
        if self.vocabulary is not None:
            for part in parts:
                if part.ndim != 2 or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= self.vocabulary:
                    inputs = f"{part.dtype} from {part.min()} to {part.max()} of shape {self.input_shape}"
                    allowed = f"null, or inputs that are rows of tokens from 0 to vocabulary - 1; they are {inputs}"
                    raise SettingError("vocabulary", self.vocabulary, allowed)
            return [torch.from_numpy(part.astype(np.int64)) for part in parts]
        mean, deviation = 0.0, 1.0
        if self.standardise:
            mean, deviation = (float(value(parts[0], dtype=np.float64)) for value in (np.mean, np.std))
            if deviation == 0:
                raise SettingError("standardise", True, "false: all numbers of the inputs are the same")
        # Bytes and half floats are too coarse for the subtraction and the division.
        exact = (part.astype(np.promote_types(part.dtype, np.float32), copy=False) for part in parts)
        return [torch.from_numpy(((part - mean) / deviation).astype(np.float32)) for part in exact]

    @property
    def has_accuracy(self) -> bool:
        """Whether targets are classes."""
        return self.target == "class"

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The training items in each replica's own order."""
        return self.population(key, self._train.shuffled(random.fold(key, "item"), index))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The training items in their stored order."""
        inputs, targets = self._train[index]
        return inputs, targets

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch"]]:
        """The test items in their stored order, the same for every replica."""
        inputs, targets = self._test[index]
        return inputs, targets

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Shaped[Tensor, "..."]
    ) -> Bool[Tensor, "..."] | None:
        """Whether the largest output is that of the target's class; ``None`` for regression."""
        return outputs.argmax(-1) == targets if self.has_accuracy else None


def _is_list(value: object, of: type) -> bool:
    """Whether ``value`` is a list, not empty, of values of exactly one type; a bool is not an int."""
    return isinstance(value, list | tuple) and bool(value) and all(type(element) is of for element in value)


def _kind(items: Items) -> str:
    return "classes" if items.targets.dtype.kind == "i" else "floats"


def _hold_out(items: Items, share: float) -> tuple[Items, Items]:
    """The training items and a random fraction of test items, at least one, both in their stored order."""
    count = len(items.targets)
    if count < 2:
        raise SettingError("dataset", f"{count} item", "two items or more: some are held out")
    # All replicas have the same test items, so the order does not depend on their seeds.
    key = random.fold(random.key(torch.zeros(1, dtype=torch.int64)), "held out")
    order = Table(torch.arange(count)).shuffled(key, torch.arange(count)[None])[0]
    is_held = (order < min(max(1, round(share * count)), count - 1)).numpy()
    return Items(*(part[~is_held] for part in items)), Items(*(part[is_held] for part in items))


def _number_classes(train: Items, held: Items) -> tuple[Items, Items, int]:
    """Both sets of items with their classes numbered from 0 in sorted order, and the number of classes."""
    classes, number = np.unique(np.concatenate([train.targets, held.targets]), return_inverse=True)
    if len(classes) < 2:
        raise SettingError("dataset", f"one class, {classes[0]}", "targets of two classes or more, or floats")
    first, second = np.split(number, [len(train.targets)])
    return train._replace(targets=first), held._replace(targets=second), len(classes)
