"""Why a class or function that a config names cannot be imported."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from svl.cli.own_code import place_of
from svl.errors import SettingError, nearest

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def check_modules(given: Mapping[str, Any]) -> None:
    """Import the modules that settings name; modules that do not exist are left to :func:`why_not`.

    Args:
        given: settings by dotted name.

    Raises:
        SettingError: for a setting whose module raises an error; that error is its cause.
    """
    named = ((key, path) for key, value in given.items() for path in (value if isinstance(value, list) else [value]))
    for key, value in named:
        if not isinstance(value, str) or not _IMPORT_PATH.fullmatch(value):
            continue
        try:
            importlib.import_module(value.rpartition(".")[0])
        except Exception as error:
            if _is_missing(error, value.rpartition(".")[0]):
                continue
            key = key.removesuffix(".class_path")
            raise SettingError(key, value, f"a module that can be imported ({place_of(error)})") from error


def why_not(path: str, folders: Iterable[Path]) -> str:
    """Why an import path leads nowhere, in words; empty if it does lead somewhere.

    Args:
        path: of a class or function.
        folders: where the user may have a module that Python does not find.
    """
    module, _, name = path.rpartition(".")
    if not _IMPORT_PATH.fullmatch(path):
        return ""
    try:
        content = importlib.import_module(module)
    except ImportError:
        top = module.partition(".")[0]
        for folder in folders:
            if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
                file = f"{top}.py" if (folder / f"{top}.py").is_file() else top
                shown = "this folder" if folder.samefile(Path()) else str(folder)
                path_to = "." if folder.samefile(Path()) else str(folder)
                return f"{file} is in {shown}, where Python does not look: set PYTHONPATH={path_to}"
        return f"there is no module {module!r}"
    names = [name for name in vars(content) if not name.startswith("_")]
    return "" if hasattr(content, name) else f"the module {module} has no {name!r}{nearest(name, names)}"


def _is_missing(error: Exception, module: str) -> bool:
    """Whether an error says that the module itself, or a package that it is in, does not exist."""
    return isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
