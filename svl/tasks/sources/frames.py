"""Tables with named columns: pandas DataFrames, and what becomes one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from svl.errors import SettingError
from svl.tasks.sources.columns import Columns

Refuse = Callable[[str], SettingError]
_MOST_TEXTS = 100
"""Most different texts of an input column: each becomes a coordinate."""


def as_frame(source: Any) -> Any:
    """A DataFrame of pandas or polars, or a table of PyArrow, as a pandas DataFrame; ``None`` for anything else."""
    pandas = sys.modules.get("pandas")  # what is not imported has made no DataFrame
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return source
    library = type(source).__module__.partition(".")[0]
    if library == "polars" and hasattr(source, "collect"):  # a LazyFrame
        source = source.collect()
    if library in ("polars", "pyarrow") and hasattr(source, "to_pandas") and hasattr(source, "columns"):
        return source.to_pandas()
    return None


def of_columns(source: Mapping[Any, Any]) -> Any:
    """A mapping of columns of equal length as a DataFrame; ``None`` if some are not plain columns."""
    columns = {name: plain(np.asarray(value)) for name, value in source.items() if not isinstance(value, str | bytes)}
    is_table = len(columns) == len(source) and all(c.ndim == 1 and c.dtype.kind in "biufU" for c in columns.values())
    if not is_table or len({len(column) for column in columns.values()}) != 1:
        return None
    import pandas

    return pandas.DataFrame(columns)


def of_rows(source: Any, first: Mapping[Any, Any]) -> Any:
    """A sequence of mappings as a DataFrame; ``None`` unless the values of the ``first`` are plain."""
    if not all(value is None or isinstance(value, str | int | float | bool | np.generic) for value in first.values()):
        return None
    import pandas

    return pandas.DataFrame([source[number] for number in range(len(source))])


def plain(values: np.ndarray) -> np.ndarray:
    """An array of Python strings, such as pandas returns, as one of NumPy's texts; others as they are."""
    if values.dtype.kind in "OT" and all(isinstance(value, str) for value in values.flat):
        return values.astype(str)
    return values


def has_texts(frame: Any) -> bool:
    """Whether a DataFrame has a column that is not of numbers."""
    return not all(_is_number(frame[name]) for name in frame)


def with_targets(inputs: Any, targets: Any, refuse: Refuse) -> tuple[Any, tuple[str, ...]]:
    """A DataFrame of inputs and targets together, and the names of the target columns."""
    import pandas

    added = pandas.DataFrame(np.asarray(targets))
    if len(added) != len(inputs):
        raise refuse(f"as many inputs as targets, not {len(inputs)} and {len(added)}")
    added.columns = [f"target {number}" for number in range(added.shape[1])]
    return pandas.concat([inputs.reset_index(drop=True), added], axis=1), tuple(added.columns)


def split(frame: Any, columns: Columns, refuse: Refuse) -> tuple[Any, np.ndarray, bool, tuple[str, ...]]:
    """Inputs as a DataFrame, targets as an array, ``False`` (no images), and notes.

    Raises:
        SettingError: for columns that the table does not have, missing values, and targets that are neither numbers
            nor texts.
    """
    notes = []
    names = list(frame.columns)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refuse(f"a table whose columns have different names, not twice {twice!r}")
    counts = [name for name in names if str(name).startswith("Unnamed: 0") and _is_count(frame[name])]
    if counts and columns.columns is None:
        notes.append(f"the column {counts[0]!r}, which counts the rows, is left out")
        names.remove(counts[0])
    inputs, targets, note = columns.of_table(names)
    notes += [note] if note else []
    used = frame[[*inputs, *targets]]
    missing = used.isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        rows = int(used.isna().any(axis=1).sum())
        which = ", ".join(f"{name!r} has {count}" for name, count in missing.head(5).items())
        which += "" if len(missing) <= 5 else f", and {len(missing) - 5} more columns"
        if not columns.drop_missing:
            allowed = f"true, to leave out {rows} of {len(used)} items with missing values ({which}), or columns"
            raise SettingError("drop_missing", False, f"{allowed} without them")
        used = used.dropna()
        notes.append(f"{rows} items with missing values are left out: {which}")
    if not len(used):
        raise refuse("a dataset with items")
    parts = [_targets(used[name], refuse) for name in targets]
    if len(parts) > 1 and any(part.dtype.kind not in "biuf" for part in parts):
        raise SettingError("target_columns", targets, "one column of texts, or several columns of numbers")
    # Several targets are numbers to regress on, whole ones too.
    array = parts[0] if len(parts) == 1 else np.stack(parts, axis=1).astype(np.float64)
    return used[inputs], array, False, tuple(notes)


def encode(train: Any, held: Any, refuse: Refuse) -> tuple[list[np.ndarray], list[str], str | None]:
    """Both tables of inputs as numbers ``[item, column]``, the names of these, and a note where texts were encoded.

    A column of numbers or booleans is one coordinate; a column of texts or of categories has one coordinate for each
    of its values, 1 where the item has that value and otherwise 0, behind those of all columns of numbers.

    Raises:
        SettingError: for columns of other kinds, or of more different texts than can be encoded.
    """
    import pandas

    for name in train:
        if _is_number(train[name]) != _is_number(held[name]):
            raise SettingError("test", f"the column {name!r}", "columns of the same kinds as in dataset")
    both = pandas.concat([train, held], ignore_index=True)
    texts = [name for name in both if not _is_number(both[name])]
    for name in texts:
        column = both[name]
        if not all(isinstance(value, str | int | float | bool | np.generic) for value in column):
            raise SettingError("columns", name, f"columns of numbers or texts, not of {_kind(column)}")
        count = column.nunique()
        if count > _MOST_TEXTS:
            allowed = f"input columns of at most {_MOST_TEXTS} different texts, without {name!r}, which has {count}"
            raise SettingError("columns", None, allowed)
    note = None
    if texts:
        listed = ", ".join(f"{name!r} ({both[name].nunique()})" for name in texts)
        note = f"columns of texts have one coordinate for each value: {listed}"
        both = pandas.get_dummies(both, columns=texts, dtype=np.float64)
    numbers = both.to_numpy(dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        raise refuse(f"inputs that are finite; {both.columns[wrong[0, 1]]!r} of item {wrong[0, 0]} is not")
    return [numbers[: len(train)], numbers[len(train) :]], [str(name) for name in both.columns], note


def _is_number(column: Any) -> bool:
    import pandas

    return bool(pandas.api.types.is_numeric_dtype(column.dtype))  # booleans too


def _is_count(column: Any) -> bool:
    return bool((np.asarray(column) == np.arange(len(column))).all())


def _kind(column: Any) -> str:
    return type(column.iloc[0]).__name__


def _targets(column: Any, refuse: Refuse) -> np.ndarray:
    """One target column as an array of numbers or texts."""
    import pandas

    if isinstance(column.dtype, pandas.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if _is_number(column):
        # Nullable types of pandas become those of NumPy.
        kind = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}[column.dtype.kind]
        return column.to_numpy(dtype=kind)
    values = plain(column.to_numpy(dtype=object))
    if values.dtype.kind != "U":
        raise refuse(f"a target column of numbers or texts; {column.name!r} has values such as {column.iloc[0]!r}")
    return values
