"""Builds dataclasses (claims, panels, grids) from mappings in a config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from svl.errors import SettingError, nearest

T = TypeVar("T")


def build(key: str, kind: type[T], content: Mapping[str, Any]) -> T:
    """An instance of a dataclass with the values of a config's mapping.

    Args:
        key: the mapping's place in the config.
        kind: the dataclass.
        content: the mapping.

    Raises:
        SettingError: naming a field that does not exist, is missing, or whose value has the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for name, value in content.items():
        if name not in fields:
            raise SettingError(f"{key}.{name}", value, ", ".join(fields) + nearest(name, list(fields)))
        allowed = _unlike(value, hints[name])
        if allowed:
            raise SettingError(f"{key}.{name}", value, allowed)
    for name, field in fields.items():
        if name not in content and field.default is dataclasses.MISSING:
            raise SettingError(f"{key}.{name}", None, "required")
    try:
        return kind(**content)
    except SettingError as error:
        raise SettingError(f"{key}.{error.key}", error.given, error.allowed) from None


def _unlike(value: Any, hint: Any) -> str:
    """What a type hint allows if the value is not of that type; empty if it is."""
    if hint is Any:
        return ""
    if get_origin(hint) is Literal:
        return "" if value in get_args(hint) else ", ".join(map(str, get_args(hint)))
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [get_origin(option) or option for option in options]
    kinds += [int] * (float in kinds)
    is_right = isinstance(value, tuple(kinds)) and (not isinstance(value, bool) or bool in kinds)
    return "" if is_right else " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
