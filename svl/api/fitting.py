"""Training from Python, by the same session as ``svl fit``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from svl.api.run import Run, load
from svl.cli import fit as command
from svl.config_file import dump_yaml
from svl.errors import SettingError


def fit(config: str | Path | Mapping[str, Any], **overrides: Any) -> Run:
    """Train the arms of an experiment, as ``svl fit`` does, and return its run.

    The run directory, the callbacks and the loggers are those of the command line. An interrupt (the stop button of a
    notebook) ends the fit at the end of its batch, with a checkpoint; ``run.finished`` is then false, and
    ``svl.fit(run.path / "config.yaml", ckpt_path=run.checkpoint)`` goes on.

    Args:
        config: path of a config, relative to the working directory or shipped with svl
            (``"configs/quickstart.yaml"``), or its settings as a nested dict.
        overrides: settings over those of the config, nested, ``trainer={"max_steps": 100}``, or by their dotted names,
            ``**{"trainer.max_steps": 100}``. A class or a function may stand for its import path.

    Raises:
        SettingError: for a setting that cannot be used; no run directory is left behind.
        StorageError: if the disk fails.

    Examples:
        >>> run = svl.fit("configs/quickstart.yaml", replicas={"seeds": 4}, trainer={"max_steps": 500})
        >>> run.network(arm=run.arms[0], seed=0)
    """
    session = command.session(["fit", *_words(config, overrides)])
    return load(session.run_directory.path)


def _words(config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> Iterator[str]:
    """The command line that means the same."""
    yield from ("--config", dump_yaml(_plain(config, "config")) if isinstance(config, Mapping) else str(config))
    nested = {key: value for key, value in overrides.items() if isinstance(value, Mapping) and "." not in key}
    if nested:
        yield from ("--config", dump_yaml(_plain(nested, "")))
    for key, value in overrides.items():
        if key not in nested:
            plain = _plain(value, key)
            yield from (f"--{key}", plain if isinstance(plain, str) else dump_yaml(plain))


def _plain(value: Any, key: str) -> Any:
    """A setting as YAML can write it.

    Raises:
        SettingError: for an object that a config cannot name.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(part, f"{key}.{name}".lstrip(".")) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, key) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if inspect.isclass(value) or inspect.isfunction(value):
        if "<" in value.__qualname__:
            raise SettingError(key, value.__qualname__, "a class or a function that can be imported by its name")
        return f"{value.__module__}.{value.__qualname__}"
    if value is None or isinstance(value, str | int | float):
        return value
    allowed = (
        "numbers, texts, lists, dicts, classes and functions: give an object as {'class_path': ..., 'init_args': ...}"
    )
    raise SettingError(key, type(value).__name__, allowed)
