"""Reads a dataset from an import path, a file or an object."""

# ruff: noqa: NPY002  (a dataset may use NumPy's global generator)
from __future__ import annotations

import functools
import json
import pkgutil
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from svl.errors import SettingError
from svl.extras import advice
from svl.tasks.sources import files
from svl.tasks.sources.columns import Columns
from svl.tasks.sources.items import Splits, collect, reason


class _Arguments(dict[str, Any]):
    """Arguments that can be hashed: plain values by value, other objects by identity."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=id))


def read(setting: str, dataset: Any, arguments: Mapping[str, Any] | None, columns: Columns) -> Splits:
    """All items of a dataset; those of a file, a function or a class are cached, so they are read only once.

    Args:
        setting: the argument of :class:`svl.tasks.Dataset` that ``dataset`` is: ``dataset`` or ``test``.
        dataset: as :class:`svl.tasks.Dataset` takes it.
        arguments: arguments with which a function or class is called.
        columns: which columns of tables and mappings are used.

    Raises:
        SettingError: for a dataset that cannot be imported, made or read, or whose items do not fit together.
    """
    arguments_key = "arguments" if setting == "dataset" else f"{setting}_arguments"
    label = label_of(dataset)
    paths = files.paths(dataset)
    source = _import(setting, dataset) if isinstance(dataset, str) and not paths else dataset
    # An object that can be both called and indexed is a dataset; a class is always called.
    is_made = not paths and (isinstance(source, type) or (callable(source) and not hasattr(source, "__getitem__")))
    if arguments is not None and not is_made:
        raise SettingError(arguments_key, dict(arguments), f"null: {label} is not called")
    if paths:
        files.check(setting, label, paths)
        changed = [path.stat().st_mtime_ns for path in paths]
        return _made(setting, label, files.load, _Arguments(paths=paths, changed=changed), columns)
    if is_made:
        return _made(setting, label, source, _Arguments(arguments or {}), columns)
    with _seeded():
        return collect(setting, label, source, columns)  # not cached, because the object may have changed


def label_of(dataset: Any) -> str:
    """A dataset's name in errors: its path or import path, or the name of its class or function."""
    if isinstance(dataset, str | Path):
        return str(dataset)
    if files.paths(dataset):
        return ", ".join(map(str, dataset))
    return str(getattr(dataset, "__name__", type(dataset).__name__))


def _import(key: str, name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except Exception as error:  # an imported module may raise anything
        allowed = f"an import path such as 'sklearn.datasets.load_digits', or a file ({reason(error)}{advice(error)})"
        raise SettingError(key, name, f"{allowed}: {', '.join(files.SUFFIXES)}") from error


@functools.lru_cache(maxsize=4)
def _made(key: str, label: str, make: Callable[..., Any], arguments: _Arguments, columns: Columns) -> Splits:
    """The items of the dataset that ``make`` returns; the last few are cached."""
    with _seeded():
        try:
            source = make(**arguments)
        except Exception as error:
            raise SettingError(
                key, label, f"a dataset that can be made with its arguments ({reason(error)})"
            ) from error
    with _seeded():
        return collect(key, label, source, columns)


@contextmanager
def _seeded() -> Iterator[None]:
    """Sets the seeds of all global generators to 0, so that random augmentations are the same in every process."""
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
