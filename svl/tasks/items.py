"""The items of a dataset of any form as two arrays, inputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from svl.errors import SettingError

_INPUTS = ("data", "image", "images", "img", "input", "inputs", "x", "X")
_TARGETS = ("target", "targets", "label", "labels", "y", "Y")


class Items(NamedTuple):
    """Inputs and targets of a dataset.

    Attributes:
        inputs: numbers ``[item, ...]``.
        targets: ``[item]``, whole numbers (classes) or floats.
    """

    inputs: np.ndarray
    targets: np.ndarray


def collect(key: str, label: str, source: Any, columns: tuple[str, ...] | None) -> Items:
    """The inputs and targets of a dataset of any form.

    Args:
        key: the setting that errors name.
        label: the dataset's name in errors.
        source: a mapping of arrays, a pair (X, y) of arrays, or a map-style dataset.
        columns: names of inputs and targets in mappings; ``None`` for the usual names.

    Raises:
        SettingError: for items that cannot be read or that do not fit together.
    """

    def refuse(allowed: str) -> SettingError:
        return SettingError(key, label, allowed)

    if isinstance(source, Mapping):
        both = tuple(source[name] for name in _column_names(list(source), columns))
    elif isinstance(source, tuple | list) and len(source) == 2 and all(getattr(x, "ndim", 0) for x in source):
        both = tuple(source)
    else:
        both = _rows(source, columns, refuse)
    inputs, targets = (_stack(x, what, refuse) for x, what in zip(both, ("inputs", "targets"), strict=True))
    if len(inputs) != len(targets):
        raise refuse(f"as many inputs as targets, not {len(inputs)} and {len(targets)}")
    if targets.ndim > 1 and targets[0].size == 1:
        targets = targets.reshape(len(targets))
    if targets.ndim != 1:
        raise refuse(f"one number as the target of an item, not an array {targets.shape[1:]}")
    return Items(inputs, targets.astype(np.int64) if targets.dtype.kind in "biu" else targets)


def _column_names(names: list[Any], columns: tuple[str, ...] | None) -> tuple[Any, ...]:
    """The names of the input column and the target column."""
    listed = ", ".join(map(str, names))
    if columns is not None:
        if not set(columns) <= set(names):
            raise SettingError("columns", list(columns), f"two of {listed}")
        return columns
    target = next((name for name in _TARGETS if name in names), None)
    inputs = next((name for name in _INPUTS if name in names), None)
    if len(names) == 2:
        target = target or next(name for name in reversed(names) if name != inputs)
        inputs = next(name for name in names if name != target)
    if inputs is None or target is None:
        raise SettingError("columns", None, f"two of {listed}, since their names are not the usual ones")
    return inputs, target


def _rows(source: Any, columns: tuple[str, ...] | None, refuse: Callable[[str], SettingError]) -> tuple[Any, ...]:
    """Inputs and targets of a map-style dataset."""
    try:
        count = len(source)
    except TypeError:
        count = -1
    if count < 0 or not hasattr(source, "__getitem__"):
        raise refuse(f"a dataset with a length and items, a pair (X, y) or named columns, not {type(source).__name__}")
    rows: list[tuple[Any, Any]] = []
    names = columns
    for number in range(count):
        try:
            item = source[number]
            if isinstance(item, Mapping):
                names = names or _column_names(list(item), None)
                item = item[names[0]], item[names[1]]
            elif columns is not None:
                raise SettingError("columns", list(columns), "null, because the items are not mappings")
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise refuse(f"items that are pairs (input, target) or mappings; number {number} is neither")
            rows.append((_array(item[0]), _array(item[1])))
        except SettingError:
            raise
        except KeyError as error:
            raise SettingError("columns", columns, f"names that item {number} has, not {error}") from error
        except Exception as error:  # a dataset may raise anything
            raise refuse(f"items that can be read; number {number} raises {reason(error)}") from error
    if not rows:
        raise refuse("a dataset with items")
    return tuple(zip(*rows, strict=True))


def _stack(values: Any, what: str, refuse: Callable[[str], SettingError]) -> np.ndarray:
    """One array of all items, items first."""
    try:
        rows = None if hasattr(values, "ndim") else [_array(value) for value in _elements(values)]
        if rows:
            other = next((number for number, row in enumerate(rows) if row.shape != rows[0].shape), None)
            if other is not None:
                shapes = f"number 0 has {rows[0].shape}, number {other} {rows[other].shape}"
                raise refuse(f"{what} of one shape: {shapes}")
        array = _array(values) if rows is None else np.array(rows)
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        raise refuse(f"{what} that are arrays of numbers ({reason(error)})") from error
    if array.dtype.kind not in "biuf":
        raise refuse(f"{what} that are numbers, not {array.dtype}")
    if array.ndim == 0 or not len(array):
        raise refuse(f"{what} of one item or more")
    if not np.isfinite(array).all():
        raise refuse(f"{what} that are finite; those of number {int(np.argwhere(~np.isfinite(array))[0, 0])} are not")
    return array


def _elements(values: Any) -> Iterable[Any]:
    if isinstance(values, str | bytes):
        raise TypeError(f"{type(values).__name__} is not an array")
    return iter(values)


def _array(value: Any) -> np.ndarray:
    """A tensor, a PIL image or anything else as an array; images have the channel axis first and values in [0, 1]."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return np.asarray(value.float() if value.dtype == torch.bfloat16 else value)
    if hasattr(value, "getbands"):  # a PIL image; PIL need not be installed
        pixels = np.asarray(value.convert("RGB") if value.mode == "P" else value)
        scaled = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
        return scaled[None] if pixels.ndim == 2 else np.moveaxis(scaled, -1, 0)
    return np.asarray(value)


def reason(error: Exception) -> str:
    """Type and message of an error, shortened to one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
