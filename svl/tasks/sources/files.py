"""Files of data: NumPy's .npz and .npy, and tables as .csv, .tsv and .parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from svl.errors import SettingError

SUFFIXES = (".npz", ".npy", ".csv", ".tsv", ".parquet")


def paths(dataset: Any) -> list[Path]:
    """The files that a dataset names: one, or a pair of .npy files with inputs and targets; none for anything else."""
    names = dataset if isinstance(dataset, list | tuple) and len(dataset) == 2 else [dataset]
    if not all(isinstance(name, str | Path) and _suffix(name) in SUFFIXES for name in names):
        return []
    return list(map(absolute, names))


def absolute(name: str | Path) -> Path:
    """An absolute path, with the home of ``~`` where there is one: without it, the name is that of a file here."""
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError:  # a user without a home, or nobody of that name
        return Path(name).absolute()


def check(setting: str, label: str, files: list[Path]) -> None:
    """Raise :class:`SettingError` unless the files exist, and two of them are arrays."""
    for path in files:
        if not path.is_file():
            raise SettingError(setting, label, f"an {_suffix(path)} file that exists, unlike {path.name}")
    if len(files) == 2 and any(_suffix(path) != ".npy" for path in files):
        raise SettingError(setting, label, "one file, or two .npy files, of the inputs and of the targets")


def load(paths: list[Path], changed: list[int]) -> Any:
    """The arrays or the table of some files.

    Args:
        paths: one file, or two .npy files.
        changed: when the files were last changed; of no effect but on a cache.
    """
    if len(paths) == 2:
        inputs, targets = (np.load(path) for path in paths)
        return inputs, targets
    (path,), suffix = paths, _suffix(paths[0])
    if suffix == ".npz":
        with np.load(path) as arrays:
            return dict(arrays)
    if suffix == ".npy":
        return _columns(np.load(path))
    import pandas

    if suffix == ".parquet":
        return pandas.read_parquet(path)
    return pandas.read_csv(path, sep="\t" if suffix == ".tsv" else ",")


def _columns(array: np.ndarray) -> Any:
    """A structured array as its columns, and a matrix as inputs and, in its last column, targets."""
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or array.shape[1] < 2:
        what = f"the array has shape {array.shape}"
        raise ValueError(f"{what}; a .npy file alone is a matrix whose last column is the target; or give two files")
    return array[:, :-1], array[:, -1]


def _suffix(path: str | Path) -> str:
    return Path(path).suffix.lower()
