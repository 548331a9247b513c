"""The items of a dataset of any form as inputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from svl.errors import SettingError
from svl.tasks.sources import frames
from svl.tasks.sources.columns import Columns

Refuse = Callable[[str], SettingError]
_TEST_SPLITS = ("test", "validation", "valid", "val", "dev")


class Items(NamedTuple):
    """Inputs and targets of a dataset.

    Attributes:
        inputs: numbers ``[item, ...]``, or a pandas DataFrame whose columns are still to be encoded as numbers.
        targets: ``[item, ...]``: numbers, or texts.
        has_channels_first: whether the inputs are images whose channel axis is known to be the first one.
        notes: what was decided while the dataset was read and may not be what the user expects.
    """

    inputs: Any
    targets: np.ndarray
    has_channels_first: bool = False
    notes: tuple[str, ...] = ()


class Splits(NamedTuple):
    """The items of a dataset that may bring a test set of its own (``test``, otherwise ``None``)."""

    train: Items
    test: Items | None = None


def collect(key: str, label: str, source: Any, columns: Columns) -> Splits:
    """The inputs and targets of a dataset of any form.

    Args:
        key: the setting that errors name.
        label: the dataset's name in errors.
        source: a mapping of arrays, a pair (X, y) of arrays, a DataFrame, a map-style dataset, or training and test
            sets: a mapping with ``train`` and ``test``, or a pair ((X, y), (X, y)).
        columns: which columns of tables and mappings are used.

    Raises:
        SettingError: for items that cannot be read or that do not fit together.
    """

    def refuse(allowed: str) -> SettingError:
        return SettingError(key, label, allowed)

    if isinstance(source, Mapping) and source and all(_is_dataset(value) for value in source.values()):
        names = ", ".join(map(str, source))
        if "train" not in source and not (key == "test" and "test" in source):
            raise refuse(f"one dataset, or datasets of which one is named train, not {names}")
        test = next((name for name in _TEST_SPLITS if name in source), None)
        parts = [None if name not in source else _items(source[name], columns, refuse) for name in ("train", test)]
        train = parts[0] or parts[1]
        assert train is not None
        note = f"of {names}, train is trained on and {test or 'a part of it'} is the test set"
        return Splits(train._replace(notes=(*train.notes, note)), parts[1])
    if isinstance(source, tuple | list) and len(source) == 2 and all(_is_pair(part) for part in source):
        return Splits(*(_items(part, columns, refuse) for part in source))
    return Splits(_items(source, columns, refuse))


def _is_dataset(value: Any) -> bool:
    """Whether a value of a mapping is a dataset of its own and not an array."""
    if frames.as_frame(value) is not None or _is_pair(value):
        return True
    is_array = hasattr(value, "ndim") or isinstance(value, list | tuple | str | bytes)
    return not is_array and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def _is_pair(value: Any) -> bool:
    """Whether a value is a tuple (X, y) of arrays with as many inputs as targets."""
    if not (isinstance(value, tuple) and len(value) == 2 and all(getattr(part, "ndim", 0) for part in value)):
        return False
    return len(value[0]) == len(value[1]) > 1


def _items(source: Any, columns: Columns, refuse: Refuse) -> Items:
    """The items of one dataset."""
    frame = frames.as_frame(source)
    if frame is None and isinstance(source, Mapping):
        names = columns.of_mapping(list(source))
        if names is None:
            frame = frames.of_columns(source)
            if frame is None:
                raise columns.unusual(list(source))
        else:
            return _pair(source[names[0]], source[names[1]], columns, refuse)
    if frame is not None:
        return Items(*frames.split(frame, columns, refuse))
    if isinstance(source, tuple | list) and len(source) == 2 and _are_columns(source):
        columns.check_unused("it is a pair (X, y) of arrays")
        return _pair(source[0], source[1], columns, refuse)
    inputs, targets, is_image = _rows(source, columns, refuse)
    if inputs is None:
        return Items(*frames.split(targets, columns, refuse))
    return _pair(inputs, targets, columns, refuse, is_image)


def _are_columns(pair: Any) -> bool:
    """Whether two values are inputs and targets of all items, and not two items."""
    if all(getattr(part, "ndim", 0) for part in pair):
        return True
    # Two lists of equal length; a list of two lists of two can be two items too, which it has always been.
    is_lists = all(isinstance(part, list) or getattr(part, "ndim", 0) for part in pair)
    return is_lists and len(pair[0]) == len(pair[1]) and (isinstance(pair, tuple) or len(pair[0]) > 2)


def _pair(inputs: Any, targets: Any, columns: Columns, refuse: Refuse, is_image: bool = False) -> Items:
    """Items of all inputs and all targets."""
    frame = frames.as_frame(inputs)
    if frame is not None and (frames.has_texts(frame) or frame.isna().any(axis=None)):
        whole, names = frames.with_targets(frame, targets, refuse)
        table = Items(*frames.split(whole, columns._replace(columns=None, targets=names), refuse))
        # A frame of numbers alone is an array, with missing values or without.
        return table if frames.has_texts(frame) else table._replace(inputs=table.inputs.to_numpy())
    first = None if hasattr(inputs, "ndim") else next(iter(_elements(inputs, "inputs", refuse)), None)
    x, y = _stack(inputs, "inputs", refuse), _stack(targets, "targets", refuse)
    if len(x) != len(y):
        raise refuse(f"as many inputs as targets, not {len(x)} and {len(y)}")
    if y.ndim > 1 and y[0].size == 1:
        y = y.reshape(len(y))
    return Items(x, y, is_image or hasattr(first, "getbands"))


def _rows(source: Any, columns: Columns, refuse: Refuse) -> tuple[Any, Any, bool]:
    """Inputs and targets of a map-style dataset, and whether inputs are PIL images; ``None`` and a DataFrame of rows.

    Rows of plain values, such as those of a CSV reader, are a table.
    """
    try:
        count = len(source)
    except TypeError:
        count = -1
    if count < 0 or not hasattr(source, "__getitem__"):
        kinds = "a pair (X, y), named columns, a DataFrame or a file"
        raise refuse(f"a dataset with a length and items, {kinds}, not {type(source).__name__}")
    rows: list[tuple[Any, Any]] = []
    names: tuple[Any, ...] | None = None
    is_image = False
    for number in range(count):
        try:
            item = source[number]
            if isinstance(item, Mapping):
                if names is None:
                    names = columns.of_mapping(list(item))
                if names is None:
                    table = frames.of_rows(source, item)
                    if table is None:
                        raise columns.unusual(list(item))
                    return None, table, False
                item = item[names[0]], item[names[1]]
            else:
                columns.check_unused("the items are not mappings")
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise refuse(f"items that are pairs (input, target) or mappings; number {number} is neither")
            is_image |= hasattr(item[0], "getbands")
            rows.append((array(item[0]), array(item[1])))
        except SettingError:
            raise
        except KeyError as error:
            given = None if columns.columns is None else list(columns.columns)
            raise SettingError("columns", given, f"names that item {number} has, not {error}") from error
        except Exception as error:  # a dataset may raise anything
            raise refuse(f"items that can be read; number {number} raises {reason(error)}") from error
    if not rows:
        raise refuse("a dataset with items")
    return *zip(*rows, strict=True), is_image  # type: ignore[return-value]


def _stack(values: Any, what: str, refuse: Refuse) -> np.ndarray:
    """One array of all items, items first."""
    try:
        rows = None if hasattr(values, "ndim") else [array(value) for value in _elements(values, what, refuse)]
        if rows:
            other = next((number for number, row in enumerate(rows) if row.shape != rows[0].shape), None)
            if other is not None:
                shapes = f"number 0 has {rows[0].shape}, number {other} {rows[other].shape}"
                raise refuse(f"{what} of one shape: {shapes}")
        whole = array(values) if rows is None else np.array(rows)
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        raise refuse(f"{what} that are arrays of numbers ({reason(error)})") from error
    whole = frames.plain(whole)
    if whole.dtype.kind == "U" and what == "inputs":
        raise refuse("inputs that are numbers, not texts; for language, give rows of tokens and set vocabulary")
    if whole.dtype.kind not in "biufU":
        raise refuse(f"{what} that are numbers{' or texts' if what == 'targets' else ''}, not {whole.dtype}")
    if whole.ndim == 0 or not len(whole):
        raise refuse(f"{what} of one item or more")
    if what == "inputs" and not np.isfinite(whole).all():
        raise refuse(f"{what} that are finite; those of number {int(np.argwhere(~np.isfinite(whole))[0, 0])} are not")
    return whole


def _elements(values: Any, what: str, refuse: Refuse) -> Iterable[Any]:
    if isinstance(values, str | bytes):
        raise refuse(f"{what} that are arrays of numbers, not {type(values).__name__}")
    try:
        iter(values)
    except TypeError as error:
        raise refuse(f"{what} that are arrays of numbers ({reason(error)})") from error
    return values


def array(value: Any) -> np.ndarray:
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
