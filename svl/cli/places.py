"""Where in a config an object stands whose constructor refused a setting."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonargparse import Namespace

from svl.cli.own_code import causes
from svl.compat.jsonargparse import NO_TYPE_FITS
from svl.errors import SettingError, within

_refused: list[SettingError] = []
"""The last error of :func:`construct`, since objects began to be made."""


@dataclass
class Construction:
    """A call of a class that a config names.

    Attributes:
        kind: the class.
        arguments: the keyword arguments, of which the config gives the plain values.
    """

    kind: Any
    arguments: dict[str, Any]


def construct(kind: Any, /, *inputs: Any, **arguments: Any) -> Any:
    """Call a class; a :class:`SettingError` of its constructor gets the call as ``origin``.

    What contains an object can call its class too, and then adds the object's place to the error by itself
    (:func:`~svl.errors.within`). That error is a new one, without an origin.

    That a library which the class needs is not installed, as of one of Lightning's loggers, is such an error too.
    """
    try:
        return kind(*inputs, **arguments)
    except SettingError as error:
        error.origin = error.origin or Construction(kind, arguments)
        _refused[:] = [error]
        raise
    except ImportError as error:
        name = getattr(kind, "__name__", str(kind))
        refused = SettingError("", name, f"a class whose libraries are installed ({' '.join(str(error).split())})")
        refused.origin = Construction(kind, arguments)
        _refused[:] = [refused]
        raise refused from error


def forget_refusals() -> None:
    """Forget the error of an earlier experiment in this process, or of a type that did not fit."""
    _refused.clear()


def refusal(error: BaseException) -> SettingError | None:
    """The :class:`SettingError` of a constructor that caused an error while objects were made; ``None`` if none did.

    Where a setting can have one of several types, jsonargparse keeps the cause for the first type alone.
    """
    found = next((cause for cause in causes(error) if isinstance(cause, SettingError)), None)
    if found is None and _refused and re.match(NO_TYPE_FITS, str(error)):
        found = _refused[-1]
    forget_refusals()
    return found


def in_full(error: SettingError, config: Namespace, groups: Mapping[Any, str]) -> SettingError:
    """The error with its key as in the config: behind the place of the object whose constructor raised it.

    Of several objects of the class, it is the one whose settings are the constructor's arguments; the first of those
    that are equal, since the first is the one that raises.

    Args:
        error: raised while objects were made by :func:`construct`.
        config: the config of which they were made.
        groups: the classes whose settings stand in the config without their name, with their places.
    """
    origin = error.origin
    if not isinstance(origin, Construction):
        return error
    place = groups.get(origin.kind)
    if place is None:
        nodes = [(key, node) for key, node in _class_nodes("", config) if _class_of(node) is origin.kind]
        if not nodes:
            return error
        place, _ = max(nodes, key=lambda item: _equal_settings(item[1], origin.arguments))
    try:
        with within(place):
            raise error
    except SettingError as placed:
        return placed


def _class_nodes(key: str, value: Any) -> Iterator[tuple[str, Namespace]]:
    """The parts of a config that name a class, in order, with their keys; an item of a list has its class's name."""
    if isinstance(value, Namespace) and "class_path" in value:
        yield key, value
        value = value.get("init_args")
    if isinstance(value, list):
        for item in value:
            if isinstance(item, Namespace) and "class_path" in item:
                yield from _class_nodes(f"{key}.{item.class_path.rpartition('.')[2]}", item)
    elif isinstance(value, Namespace | dict):
        settings = vars(value) if isinstance(value, Namespace) else value
        for name, setting in settings.items():
            yield from _class_nodes(f"{key}.{name}" if key else str(name), setting)


def _class_of(node: Namespace) -> Any:
    try:
        return pkgutil.resolve_name(node.class_path)
    except (ImportError, AttributeError, ValueError):
        return None


def _equal_settings(node: Namespace, arguments: Mapping[str, Any]) -> int:
    """How many of a node's settings are the arguments of a call: all plain ones, if the call is that of the node."""
    settings = vars(node.get("init_args") or Namespace())
    # By their text, because NaN differs from itself.
    return sum(name in arguments and repr(value) == repr(arguments[name]) for name, value in settings.items())
