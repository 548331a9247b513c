"""What kind the targets of a dataset are, and the numbers that stand for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from svl.errors import SettingError

TargetKind = Literal["class", "number", "sign"]
NO_TARGET = -100
"""The class of a position without a target, as PyTorch's ``ignore_index``."""
_MANY, _FEW = 20, 10
_LISTED = 8  # classes in a note


class Asked(NamedTuple):
    """The settings that say what targets are.

    Attributes:
        kind: as ``target_kind`` of :class:`svl.tasks.Dataset`.
        per_position: whether there is a target at each position; ``None`` to find out.
        vocabulary: number of distinct tokens of the inputs, ``None`` if these are not tokens.
        input_shape: shape of one input.
    """

    kind: TargetKind | None
    per_position: bool | None
    vocabulary: int | None
    input_shape: tuple[int, ...]


class Targets(NamedTuple):
    """Targets as numbers.

    Attributes:
        kind: the kind that losses fit: ``class``, ``sign``, ``number`` or ``vector``.
        output_dim: number of outputs for them.
        per_position: whether there is one at each position.
        train: of the training items: int64 for classes, otherwise float32.
        held: of the test items.
        notes: what was decided and may not be what the user expects.
    """

    kind: str
    output_dim: int
    per_position: bool
    train: np.ndarray
    held: np.ndarray
    notes: tuple[str, ...] = ()


def interpret(train: np.ndarray, held: np.ndarray, asked: Asked, refuse: Callable[[str], SettingError]) -> Targets:
    """The targets of both parts as numbers of one kind.

    Raises:
        SettingError: for targets that are not of the kind that is asked for, or whose kind is not clear.
    """
    length, is_whole = asked.input_shape[0], train.dtype.kind in "biu"
    per_position = asked.per_position
    if per_position is None:
        per_position = asked.vocabulary is not None and is_whole and train.shape[1:] == (length,)
    if per_position:
        return _at_positions(train, held, asked, refuse)
    if train.ndim == 2:
        return _vectors(train, held, asked, refuse)
    if train.ndim != 1:
        raise refuse(f"one number as the target of an item, or a row of numbers, not an array {train.shape[1:]}")
    kind = asked.kind or ("number" if train.dtype.kind == "f" else "class")
    notes: tuple[str, ...] = ()
    if asked.kind is None:
        notes = _doubts(train)
    if kind == "number":
        if train.dtype.kind == "U":
            raise SettingError("target_kind", "number", f"class or sign: targets are texts such as {str(train[0])!r}")
        return Targets("number", 1, False, train.astype(np.float32), held.astype(np.float32), notes)
    return _classes(train, held, kind, refuse, notes)


def check_finite(targets: np.ndarray, refuse: Callable[[str], SettingError]) -> None:
    """Raise :class:`SettingError` for targets that are not finite numbers."""
    if targets.dtype.kind == "f" and not np.isfinite(targets).all():
        number = int(np.argwhere(~np.isfinite(targets))[0, 0])
        raise refuse(f"targets that are finite; those of number {number} are not")


def _doubts(targets: np.ndarray) -> tuple[str, ...]:
    """A note on floats that look like classes; raises :class:`SettingError` for whole numbers that may be none."""
    count = len(np.unique(targets))
    if targets.dtype.kind in "iu" and count > _MANY and len(targets) < _FEW * count:
        allowed = f"number (regression) or class: targets are {count} different whole numbers in {len(targets)} items"
        raise SettingError("target_kind", None, allowed)
    if targets.dtype.kind == "f" and count <= _MANY and (targets == np.round(targets)).all():
        return (f"targets are floats, so this is regression; target_kind: class makes {count} classes of them",)
    return ()


def _classes(
    train: np.ndarray, held: np.ndarray, kind: str, refuse: Callable[[str], SettingError], notes: tuple[str, ...]
) -> Targets:
    """Classes numbered from 0 in sorted order, or the signs -1 and 1 of two classes in sorted order."""
    every = np.concatenate([train, held])
    if every.dtype.kind == "f" and not (every == np.round(every)).all():
        raise SettingError("target_kind", kind, "number: targets are real numbers")
    classes, number = np.unique(every, return_inverse=True)
    if len(classes) < 2:
        raise SettingError("dataset", f"one class, {classes[0]}", "targets of two classes or more, or floats")
    names = [str(name) for name in classes]
    first, second = np.split(number.astype(np.int64), [len(train)])
    new = sorted(set(second.tolist()) - set(first.tolist()))
    if new:
        listed = ", ".join(names[place] for place in new[:5])
        notes += (f"{len(new)} of the classes of the test set never occur in training: {listed}",)
    if kind == "class":
        if every.dtype.kind == "U":
            listed = ", ".join(f"{name!r} is {place}" for place, name in enumerate(names[:_LISTED]))
            notes += (f"classes are numbered in sorted order: {listed}{', ...' if len(names) > _LISTED else ''}",)
        return Targets("class", len(classes), False, first, second, notes)
    if len(classes) != 2:
        raise SettingError("target_kind", "sign", f"class: targets have {len(classes)} different values and not two")
    if names not in (["-1", "1"], ["-1.0", "1.0"]):
        notes += (f"the target {names[0]!r} is -1, {names[1]!r} is 1",)
    one, other = ((2 * part - 1).astype(np.float32) for part in (first, second))
    return Targets("sign", 1, False, one, other, notes)


def _vectors(train: np.ndarray, held: np.ndarray, asked: Asked, refuse: Callable[[str], SettingError]) -> Targets:
    """Several numbers an item; or the classes of rows with a single 1, where classes are asked for."""
    count = train.shape[1]
    if asked.kind == "class" and train.dtype.kind != "U" and all(_is_one_hot(part) for part in (train, held)):
        return _classes(train.argmax(1), held.argmax(1), "class", refuse, ())
    if asked.kind in ("class", "sign"):
        raise SettingError("target_kind", asked.kind, f"number: each item has {count} targets")
    if train.dtype.kind != "f" and asked.kind is None:
        allowed = f"number (regression on {count} outputs), or class for rows with a single 1: targets are {count} "
        allowed += "whole numbers an item; with token inputs, set vocabulary for a target at every position"
        raise SettingError("target_kind", None, allowed)
    if train.dtype.kind == "U":
        raise refuse(f"one text as the target of an item, not {count}")
    note = () if asked.kind else (f"each target is a row of {count} numbers: regression on {count} outputs",)
    return Targets("vector", count, False, train.astype(np.float32), held.astype(np.float32), note)


def _is_one_hot(rows: np.ndarray) -> bool:
    return bool(np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all())


def _at_positions(train: np.ndarray, held: np.ndarray, asked: Asked, refuse: Callable[[str], SettingError]) -> Targets:
    """A target at each position: classes, or numbers to regress on."""
    length, is_whole = asked.input_shape[0], train.dtype.kind in "biu"
    if train.shape[1:] != (length,) or train.dtype.kind == "U":
        allowed = f"false: each input has {length} positions, each target the shape {train.shape[1:]}"
        raise SettingError("per_position", True, allowed)
    kind = asked.kind or ("class" if is_whole else "number")
    if kind == "sign" or (kind == "class" and not is_whole):
        allowed = f"number: targets at each position are {train.dtype}" if kind == "class" else "class or number"
        raise SettingError("target_kind", kind, allowed)
    has_target = [(part != NO_TARGET) if kind == "class" else ~np.isnan(part.astype(float)) for part in (train, held)]
    for name, part in zip(("training", "test"), has_target, strict=True):
        if not part.any(1).all():
            number = int(part.any(1).argmin())
            raise refuse(f"items with a target at one position or more; number {number} of the {name} items has none")
    if kind == "number":
        for part, is_target in zip((train, held), has_target, strict=True):
            if not np.isfinite(part[is_target]).all():
                raise refuse("targets that are finite, or NaN at positions without one")
        return Targets("number", 1, True, train.astype(np.float32), held.astype(np.float32))
    values = np.concatenate([part[is_target] for part, is_target in zip((train, held), has_target, strict=True)])
    low, high = int(values.min()), int(values.max())
    count = high + 1 if asked.vocabulary is None else asked.vocabulary
    if low < 0 or high >= count:
        allowed = f"targets from 0 to {count - 1} (vocabulary - 1), or {NO_TARGET} for a position without one"
        raise refuse(f"{allowed}; they are from {low} to {high}")
    return Targets("class", count, True, train.astype(np.int64), held.astype(np.int64))
