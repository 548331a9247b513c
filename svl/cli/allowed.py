"""What the type of a setting allows, in words."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from svl.errors import nearest

# Of the engine, which a config cannot choose; all other classes of svl are listed as examples.
_ENGINE = ("svl.training", "svl.callbacks.checkpoint", "svl.callbacks.history", "svl.callbacks.progress")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


def describe(hint: Any) -> str:
    """What a type allows, in words: ``a whole number or null``."""
    origin = get_origin(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Literal:
        return ", ".join(repr(value) if isinstance(value, str) else str(value) for value in get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(part) for part in get_args(hint)))
    if hint is list or origin is list:
        return "a list" + "".join(f" of {describe(part)}" for part in get_args(hint) if part is not Any)
    if hint is dict or origin is dict:
        return "a mapping"
    return describe_classes(hint)


def describe_classes(hint: Any, given: Any = None) -> str:
    """The classes that a type accepts, and the one whose name is closest to that of ``given``."""
    names = class_names(hint)
    if not names:
        return "the import path of a class"
    by_last = {name.rpartition(".")[2]: name for name in names}
    close = nearest(str(given).rpartition(".")[2], by_last)
    for last, name in by_last.items():
        close = close.replace(repr(last), repr(name))
    return f"{', '.join(names)}, or a class's import path{close}"


def class_names(hint: Any) -> list[str]:
    """The names of svl's own classes that a type accepts: subclasses, also of what a callable returns."""
    return sorted(own_classes(hint))


def import_path(hint: Any, name: str) -> str | None:
    """The import path of svl's own class of a name that a type accepts, whatever other classes have the name."""
    package = own_classes(hint).get(name)
    return package and f"{package}.{name}"


def own_classes(hint: Any) -> dict[str, str]:
    """The packages of svl's own classes by the classes' names."""
    packages = {}
    waiting = _bases(hint)
    # svl's metrics are torch.nn.Modules too, but neither networks nor for a config: they hold those of torchmetrics.
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("svl.metrics"):
            continue
        waiting += [] if kind is type else kind.__subclasses__()
        package = kind.__module__.rpartition(".")[0]
        exported = getattr(sys.modules.get(package), kind.__name__, None) is kind
        ours = kind.__module__.partition(".")[0] == "svl" and not kind.__module__.startswith(_ENGINE)
        if ours and exported and not inspect.isabstract(kind):
            packages[kind.__name__] = package
    return packages


def _bases(hint: Any) -> list[type]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is dict:
        return _bases(arguments[1]) if arguments else []
    if origin in (Union, types.UnionType, list):
        return [base for part in arguments for base in _bases(part)]
    if isinstance(hint, tuple):
        return [base for part in hint for base in _bases(part)]
    if origin is Callable:
        return _bases(arguments[-1])
    return [hint] if inspect.isclass(hint) and hint not in _WORDS and hint is not list else []
