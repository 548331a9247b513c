"""A stored dataset as a task."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from svl import random
from svl.checks import check_choice, check_whole
from svl.errors import SettingError
from svl.tasks.sources import frames, inputs, source
from svl.tasks.sources.columns import Columns
from svl.tasks.sources.hold_out import hold_out
from svl.tasks.sources.items import Items
from svl.tasks.sources.targets import NO_TARGET, Asked, TargetKind, check_finite, interpret
from svl.tasks.table import Table
from svl.tasks.task import Task


class Dataset(Task):
    """A dataset of one's own: images, tables, sequences; for classification or regression.

    Example number i is training item pi(i mod ``train_size``), where the permutation pi is drawn once for each replica:
    the first N examples are N random items, and each seed has different ones. The population is all training items in
    their stored order. Items are read once and kept in memory, with the global random generators of Python, NumPy and
    PyTorch at seed 0, so a random augmentation is applied only once. ``docs/data.md`` shows what each form of data
    becomes.

    Args:
        dataset: the import path of a dataset, or of a function or class that makes one; the path of an ``.npz``,
            ``.npy``, ``.csv``, ``.tsv`` or ``.parquet`` file, or of two ``.npy`` files; or, from Python, the object
            itself. It can be a map-style dataset, whose items are pairs (input, target) or mappings such as the rows of
            a Hugging Face dataset; a pair (X, y) of arrays; a mapping of arrays, such as scikit-learn's; or a table: a
            DataFrame of pandas or polars. A mapping with ``train`` and ``test``, such as a ``DatasetDict``, has a test
            set of its own. PIL images become floats in [0, 1] with the channel axis first.
        arguments: arguments with which a function or class is called.
        columns: names of input and target in mappings; ``None`` for the usual names, such as data and target. Of a
            table, the columns that are used, the last one the target; ``None`` for all.
        target_columns: names of the target columns, several for regression on a vector; ``None`` for the usual name,
            or the last column of a table.
        target_kind: ``class``; ``number`` for regression; or ``sign`` for two classes as -1 and 1, which the losses
            logistic and hinge need. ``None``: texts, booleans and whole numbers are classes, floats are numbers.
        per_position: whether there is a target at each position of an input, ``[item, position]``; ``None``: if inputs
            are tokens and targets are whole numbers of the same shape. A target -100 (classes) or NaN (numbers) marks
            a position without one.
        shape: shape of one input; ``None`` for the shape it has.
        channels: which axis of an image is its channel's, ``first`` or ``last``, which is moved to the front; ``None``
            for the one that has 1, 3 or 4 values.
        standardise: subtract the mean of the training inputs and divide by their standard deviation: those of all
            numbers together, but of each column of a table; ``columns`` for those of each number of an input.
        vocabulary: number of distinct tokens if inputs are tokens, which are not standardised; otherwise ``None``.
        held_out: fraction of the items in the test set, above 0 and below 1; all replicas have the same test set.
        stratify: hold out this fraction of each class.
        drop_missing: leave out the rows of a table that have missing values, which are otherwise an error.
        test: a separate dataset for the test set, given as ``dataset`` is.
        test_arguments: arguments with which ``test`` is called.

    Raises:
        SettingError: for a dataset that cannot be imported, made or read; for items of different shapes, too few items,
            numbers that are not finite, or a single class; where the kind of targets or the channel axis is not clear;
            and for other arguments out of range.
    """

    train_size: int
    test_size: int
    source_setting = "dataset"

    def __init__(
        self,
        dataset: Any,
        arguments: dict[str, Any] | None = None,
        columns: list[str] | None = None,
        target_columns: str | list[str] | None = None,
        target_kind: TargetKind | None = None,
        per_position: bool | None = None,
        shape: list[int] | None = None,
        channels: inputs.Channels | None = None,
        standardise: bool | Literal["columns"] = True,
        vocabulary: int | None = None,
        held_out: float = 0.2,
        stratify: bool = False,
        drop_missing: bool = False,
        test: Any = None,
        test_arguments: dict[str, Any] | None = None,
    ) -> None:
        self.dataset, self.arguments, self.columns = dataset, arguments, columns
        self.target_columns, self.target_kind = target_columns, target_kind
        self.shape, self.channels, self.standardise, self.vocabulary = shape, channels, standardise, vocabulary
        self.held_out, self.stratify, self.drop_missing = held_out, stratify, drop_missing
        self.test, self.test_arguments = test, test_arguments
        self._check(per_position)

        train, held = self._read(may_be_nan=per_position is True)
        notes = [*train.notes]
        raw, is_table, note = self._numbers(train, held)
        notes += [note] if note else []
        asked = inputs.Shaping(None if shape is None else tuple(shape), channels, train.has_channels_first)
        raw, note = inputs.arrange(raw, asked)
        notes += [note] if note else []
        self.input_shape = raw[0].shape[1:]
        kind = Asked(target_kind, per_position, vocabulary, self.input_shape)
        targets = interpret(train.targets, held.targets, kind, self._refuse)
        self.target, self.output_dim = targets.kind, targets.output_dim
        self.per_position = targets.per_position
        self.has_perplexity = self.per_position and vocabulary is not None and targets.kind == "class"
        self.notes = (*notes, *targets.notes)
        ready = self._prepare(raw, is_table)
        numbers = [torch.from_numpy(part) for part in (targets.train, targets.held)]
        self._train, self._test = (Table(*both) for both in zip(ready, numbers, strict=True))
        self.train_size = self.population_size = len(self._train)
        self.test_size = len(self._test)
        # Of the inputs as they were read: the last bit of a mean can depend on the machine.
        stored = zip(raw, (targets.train, targets.held), strict=True)
        self.parts = {
            f"{part} {what}": _hashed(values)
            for part, both in zip(("training", "test"), stored, strict=True)
            for what, values in zip(("inputs", "targets"), both, strict=True)
        }
        digest = hashlib.sha256("".join(self.parts.values()).encode()).hexdigest()[:16]
        self.digest = f"{digest} ({self.train_size} training items, {self.test_size} test items)"

    def _check(self, per_position: Any) -> None:
        """Raise :class:`SettingError` for arguments out of range."""
        share = self.held_out
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise SettingError("held_out", share, "a share of the items, above 0 and below 1")
        if not isinstance(self.standardise, bool) and self.standardise != "columns":
            raise SettingError("standardise", self.standardise, "true or false, or columns")
        for name in ("stratify", "drop_missing"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(name, getattr(self, name), "true or false")
        if per_position is not None and not isinstance(per_position, bool):
            raise SettingError("per_position", per_position, "true, false or null")
        if self.vocabulary is not None:
            check_whole("vocabulary", self.vocabulary, 1, allowed="a whole number, at least 1, or null")
        for name, choices in (("target_kind", ("class", "number", "sign")), ("channels", ("first", "last"))):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        if self.columns is not None and not (_is_list(self.columns, str) and len(self.columns) >= 2):
            raise SettingError("columns", self.columns, "two names, of inputs and targets, more for a table, or null")
        names = self.target_columns
        if names is not None and not (isinstance(names, str) and names) and not _is_list(names, str):
            raise SettingError("target_columns", names, "a name, a list of names, or null")
        if self.shape is not None and not (_is_list(self.shape, int) and all(side >= 1 for side in self.shape)):
            raise SettingError("shape", self.shape, "a list of whole numbers, at least 1, or null")
        for name in ("arguments", "test_arguments"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
                raise SettingError(name, value, "a mapping from names to values, or null")
        if self.test is None and self.test_arguments is not None:
            raise SettingError("test_arguments", self.test_arguments, "null without test")

    def _refuse(self, allowed: str) -> SettingError:
        return SettingError("dataset", source.label_of(self.dataset), allowed)

    def _read(self, may_be_nan: bool) -> tuple[Items, Items]:
        """The items of the training set and of the test set; targets may be NaN or must be finite."""
        names = [self.target_columns] if isinstance(self.target_columns, str) else self.target_columns
        used, targets = (None if chosen is None else tuple(chosen) for chosen in (self.columns, names))
        columns = Columns(used, targets, self.drop_missing)
        train, held = source.read("dataset", self.dataset, self.arguments, columns)
        if self.test is not None:
            one, other = source.read("test", self.test, self.test_arguments, columns)
            held = other or one
        for part in () if may_be_nan else (train, held or train):
            check_finite(part.targets, self._refuse)
        if held is None:
            if self.stratify and train.targets.dtype.kind == "f" and self.target_kind not in ("class", "sign"):
                raise SettingError("stratify", True, "false: targets are real numbers")
            return hold_out(train, self.held_out, self.stratify)
        if self.stratify:
            raise SettingError("stratify", True, "false: the dataset has a test set of its own")
        kinds = [f"inputs {_shape(part)}, targets {_kind(part)}" for part in (held, train)]
        if kinds[0] != kinds[1]:
            raise SettingError("test", kinds[0], f"{kinds[1]}, as in dataset")
        return train, held

    def _numbers(self, train: Items, held: Items) -> tuple[list[np.ndarray], bool, str | None]:
        """Inputs as arrays, whether they were a table, and a note on columns that were encoded."""
        if frames.as_frame(train.inputs) is None:
            return [train.inputs, held.inputs], False, None
        both, _, note = frames.encode(train.inputs, held.inputs, self._refuse)
        return both, True, note

    def _prepare(self, raw: list[np.ndarray], is_table: bool) -> list[Shaped[Tensor, "item ..."]]:
        """Inputs as tensors: tokens unchanged, other numbers standardised by the mean and deviation of the training."""
        if self.vocabulary is not None:
            whole = [part.astype(np.int64) if is_table and (part == np.round(part)).all() else part for part in raw]
            return inputs.check_tokens(whole, self.vocabulary)
        if self.standardise:
            return inputs.standardise(raw, self.standardise == "columns" or is_table)
        if raw[0].dtype == np.uint8:
            self.notes = (*self.notes, "inputs are bytes, 0 to 255, and stay so without standardise")
        return inputs.as_they_are(raw)

    @property
    def has_accuracy(self) -> bool:
        """Whether targets are classes or signs."""
        return self.target in ("class", "sign")

    @property
    def other_kinds(self) -> dict[str, str]:
        """Kinds of target that the items could have too, and the setting for it."""
        if self.per_position or self.target == "vector":
            return {}
        _, targets = self._train[torch.arange(self.train_size)]
        kinds = ["class", "number", *(["sign"] if len(targets.unique()) == 2 else [])]
        return {kind: f"target_kind: {kind}" for kind in kinds if kind != self.target}

    @property
    def class_counts(self) -> Int[Tensor, "class"] | None:
        """Numbers of training items, or of positions, of each class."""
        if self.target != "class":
            return None
        _, targets = self._train[torch.arange(self.train_size)]
        return torch.bincount(targets[targets != NO_TARGET].flatten(), minlength=self.output_dim)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch *target"]]:
        """The training items in each replica's own order."""
        return self.population(key, self._train.shuffled(random.fold(key, "item"), index))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch *target"]]:
        """The training items in their stored order."""
        inputs, targets = self._train[index]
        return inputs, targets

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Shaped[Tensor, "replica batch *shape"], Shaped[Tensor, "replica batch *target"]]:
        """The test items in their stored order, the same for every replica."""
        inputs, targets = self._test[index]
        return inputs, targets

    def correct(
        self, outputs: Float[Tensor, "... output"], targets: Shaped[Tensor, "..."]
    ) -> Bool[Tensor, "..."] | Float[Tensor, "..."] | None:
        """Whether the largest output is that of the target's class, or the output has its sign.

        With a target at each position, the fraction of those at which it is; ``None`` for regression.
        """
        if self.target == "sign":
            return outputs[..., 0] * targets > 0
        if self.target != "class":
            return None
        is_correct = outputs.argmax(-1) == targets
        if not self.per_position:
            return is_correct
        return is_correct.sum(-1) / (targets != NO_TARGET).sum(-1)


def _is_list(value: object, of: type) -> bool:
    """Whether ``value`` is a list, not empty, of values of exactly one type; a bool is not an int."""
    return isinstance(value, list | tuple) and bool(value) and all(type(element) is of for element in value)


def _kind(items: Items) -> str:
    kind = {"U": "texts", "f": "floats"}.get(items.targets.dtype.kind, "classes")
    return kind if items.targets.ndim == 1 else f"{kind} {items.targets.shape[1:]}"


def _shape(items: Items) -> str:
    is_table = frames.as_frame(items.inputs) is not None
    return ", ".join(map(str, items.inputs)) if is_table else str(items.inputs.shape[1:])


def _hashed(values: np.ndarray) -> str:
    """SHA-256 of the numbers, shortened; the same for whole numbers of any type."""
    return hashlib.sha256(np.ascontiguousarray(inputs.exact(values)).tobytes()).hexdigest()[:16]
