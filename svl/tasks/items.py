"""The items of a dataset, whatever form it has, read into two arrays."""

# ruff: noqa: NPY002  (what is read may use NumPy's global generator)
from __future__ import annotations

import functools
import json
import pkgutil
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from svl.errors import SettingError

_INPUTS = ("data", "image", "images", "img", "input", "inputs", "x", "X")
_TARGETS = ("target", "targets", "label", "labels", "y", "Y")


class Items(NamedTuple):
    """Inputs and targets.

    Attributes:
        inputs: numbers ``[item, ...]``.
        targets: whole numbers or floats ``[item]``.
    """

    inputs: np.ndarray
    targets: np.ndarray


class _Arguments(dict[str, Any]):
    """Arguments to tell calls apart by: plain values by what they are, objects by which they are."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=id))


def read(setting: str, dataset: Any, arguments: Mapping[str, Any] | None, columns: list[str] | None) -> Items:
    """All items of a dataset; those that a file, a function or a class gives are kept, so they are read once.

    Args:
        setting: the argument that ``dataset`` is.
        dataset: as :class:`svl.tasks.dataset.Dataset` takes it.
        arguments: with which a function or class is called.
        columns: names of inputs and targets in mappings; ``None`` for the usual names.

    Raises:
        SettingError: for what cannot be imported, made or read, and for items that do not fit together.
    """
    key = f"data.task.{setting}"
    its_arguments = "data.task.arguments" if setting == "dataset" else f"data.task.{setting}_arguments"
    given = dataset if isinstance(dataset, str) else getattr(dataset, "__name__", type(dataset).__name__)
    is_file = isinstance(dataset, str | Path) and Path(dataset).suffix == ".npz"
    source = _named(key, dataset) if isinstance(dataset, str) and not is_file else dataset
    # What can be called and indexed is a dataset, but a class can only be called.
    is_made = isinstance(source, type) or (callable(source) and not hasattr(source, "__getitem__"))
    if arguments is not None and not is_made:
        raise SettingError(its_arguments, dict(arguments), f"null: {given} is not called")
    names = None if columns is None else tuple(columns)
    if is_file:
        path = Path(dataset).expanduser().absolute()
        if not path.is_file():
            raise SettingError(key, str(dataset), "an .npz file that exists")
        return _made(key, str(dataset), _load, _Arguments(path=path, changed=path.stat().st_mtime_ns), names)
    if is_made:
        return _made(key, given, source, _Arguments(arguments or {}), names)
    return _collected(key, given, source, names)  # anew: it may have changed


def _named(key: str, name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except Exception as error:  # importing runs code of others
        allowed = f"an import path such as 'sklearn.datasets.load_digits', or an .npz file that exists ({_why(error)})"
        raise SettingError(key, name, allowed) from error


@functools.lru_cache(maxsize=4)
def _made(
    key: str, given: str, make: Callable[..., Any], arguments: _Arguments, columns: tuple[str, ...] | None
) -> Items:
    with _seeded():
        try:
            source = make(**arguments)
        except Exception as error:
            raise SettingError(key, given, f"what its arguments can make a dataset of ({_why(error)})") from error
    return _collected(key, given, source, columns)


def _load(path: Path, changed: int) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


@contextmanager
def _seeded() -> Iterator[None]:
    """So that what is random, such as an augmentation, is the same wherever it is read."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(0)
            np.random.seed(0)
            torch.manual_seed(0)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _collected(key: str, given: str, source: Any, columns: tuple[str, ...] | None) -> Items:
    """The two arrays of a dataset of any form."""

    def refuse(allowed: str) -> SettingError:
        return SettingError(key, given, allowed)

    with _seeded():
        if isinstance(source, Mapping):
            both = tuple(source[name] for name in _names(list(source), columns))
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


def _names(found: list[Any], columns: tuple[str, ...] | None) -> tuple[Any, ...]:
    """Which columns are input and target."""
    every = ", ".join(map(str, found))
    if columns is not None:
        if not set(columns) <= set(found):
            raise SettingError("data.task.columns", list(columns), f"two of {every}")
        return columns
    target = next((name for name in _TARGETS if name in found), None)
    own = next((name for name in _INPUTS if name in found), None)
    if len(found) == 2:
        target = target or next(name for name in reversed(found) if name != own)
        own = next(name for name in found if name != target)
    if own is None or target is None:
        raise SettingError("data.task.columns", None, f"two of {every}: which are input and target cannot be told")
    return own, target


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
                names = names or _names(list(item), None)
                item = item[names[0]], item[names[1]]
            elif columns is not None:
                raise SettingError("data.task.columns", list(columns), "null: the items have no names")
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise refuse(f"items that are pairs (input, target) or mappings; number {number} is none")
            rows.append((_array(item[0]), _array(item[1])))
        except SettingError:
            raise
        except KeyError as error:
            raise SettingError("data.task.columns", columns, f"names that item {number} has, not {error}") from error
        except Exception as error:  # reading runs code of others
            raise refuse(f"items that can be read; number {number} raises {_why(error)}") from error
    if not rows:
        raise refuse("a dataset with items")
    return tuple(zip(*rows, strict=True))


def _stack(values: Any, what: str, refuse: Callable[[str], SettingError]) -> np.ndarray:
    """An array with a row for each item."""
    try:
        rows = None if hasattr(values, "ndim") else [_array(value) for value in _iterated(values)]
        if rows:
            odd = next((number for number, row in enumerate(rows) if row.shape != rows[0].shape), None)
            if odd is not None:
                shapes = f"number 0 has {rows[0].shape}, number {odd} {rows[odd].shape}"
                raise refuse(f"{what} of one shape: {shapes}")
        array = _array(values) if rows is None else np.array(rows)
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        raise refuse(f"{what} that are arrays of numbers ({_why(error)})") from error
    if array.dtype.kind not in "biuf":
        raise refuse(f"{what} that are numbers, not {array.dtype}")
    if array.ndim == 0 or not len(array):
        raise refuse(f"{what} of one item or more")
    if not np.isfinite(array).all():
        raise refuse(f"{what} that are finite; those of number {int(np.argwhere(~np.isfinite(array))[0, 0])} are not")
    return array


def _iterated(values: Any) -> Iterable[Any]:
    if isinstance(values, str | bytes):
        raise TypeError(f"{type(values).__name__} is not an array")
    return iter(values)


def _array(value: Any) -> np.ndarray:
    """A tensor, an image or anything else as an array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return np.asarray(value.float() if value.dtype == torch.bfloat16 else value)
    if hasattr(value, "getbands"):  # of PIL, which need not be installed
        pixels = np.asarray(value.convert("RGB") if value.mode == "P" else value)
        scaled = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
        return scaled[None] if pixels.ndim == 2 else np.moveaxis(scaled, -1, 0)
    return np.asarray(value)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
