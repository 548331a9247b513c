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
from svl.tasks.items import Items, collect, reason


class _Arguments(dict[str, Any]):
    """Arguments that can be hashed: plain values by value, other objects by identity."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=id))


def read(setting: str, dataset: Any, arguments: Mapping[str, Any] | None, columns: list[str] | None) -> Items:
    """All items of a dataset; those of a file, a function or a class are cached, so they are read only once.

    Args:
        setting: the argument of :class:`svl.tasks.Dataset` that ``dataset`` is: ``dataset`` or ``test``.
        dataset: as :class:`svl.tasks.Dataset` takes it.
        arguments: arguments with which a function or class is called.
        columns: names of inputs and targets in mappings; ``None`` for the usual names.

    Raises:
        SettingError: for a dataset that cannot be imported, made or read, or whose items do not fit together.
    """
    arguments_key = "arguments" if setting == "dataset" else f"{setting}_arguments"
    label = dataset if isinstance(dataset, str) else getattr(dataset, "__name__", type(dataset).__name__)
    is_file = isinstance(dataset, str | Path) and Path(dataset).suffix == ".npz"
    source = _import(setting, dataset) if isinstance(dataset, str) and not is_file else dataset
    # An object that can be both called and indexed is a dataset; a class is always called.
    is_made = isinstance(source, type) or (callable(source) and not hasattr(source, "__getitem__"))
    if arguments is not None and not is_made:
        raise SettingError(arguments_key, dict(arguments), f"null: {label} is not called")
    names = None if columns is None else tuple(columns)
    if is_file:
        path = Path(dataset).expanduser().absolute()
        if not path.is_file():
            raise SettingError(setting, str(dataset), "an .npz file that exists")
        return _made(setting, str(dataset), _load, _Arguments(path=path, changed=path.stat().st_mtime_ns), names)
    if is_made:
        return _made(setting, label, source, _Arguments(arguments or {}), names)
    with _seeded():
        return collect(setting, label, source, names)  # not cached, because the object may have changed


def _import(key: str, name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except Exception as error:  # an imported module may raise anything
        allowed = (
            f"an import path such as 'sklearn.datasets.load_digits', or an .npz file that exists ({reason(error)})"
        )
        raise SettingError(key, name, allowed) from error


@functools.lru_cache(maxsize=4)
def _made(
    key: str, label: str, make: Callable[..., Any], arguments: _Arguments, columns: tuple[str, ...] | None
) -> Items:
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


def _load(path: Path, changed: int) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


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
