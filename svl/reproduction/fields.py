"""Claims and panels from what a config says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from svl.errors import SettingError, nearest

T = TypeVar("T")


def build(key: str, kind: type[T], content: Mapping[str, Any]) -> T:
    """A dataclass made of a config's mapping.

    Args:
        key: where the mapping stands.

    Raises:
        SettingError: naming a field that there is not, that is missing, or whose value is of the wrong kind.
    """
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for name, value in content.items():
        if name not in fields:
            raise SettingError(f"{key}.{name}", value, ", ".join(fields) + nearest(name, list(fields)))
        allowed = _unlike(value, hints[name])
        if allowed:
            raise SettingError(f"{key}.{name}", value, allowed)
    for name, one in fields.items():
        if name not in content and one.default is dataclasses.MISSING:
            raise SettingError(f"{key}.{name}", None, "given: it is needed here")
    try:
        return kind(**content)
    except SettingError as error:
        raise SettingError(f"{key}.{error.key}", error.given, error.allowed) from None


def _unlike(value: Any, hint: Any) -> str:
    """What a hint allows, where a value is something else; else nothing."""
    if hint is Any:
        return ""
    if get_origin(hint) is Literal:
        return "" if value in get_args(hint) else ", ".join(map(str, get_args(hint)))
    kinds = [get_origin(one) or one for one in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,))]
    kinds += [int] * (float in kinds)
    is_right = isinstance(value, tuple(kinds)) and (not isinstance(value, bool) or bool in kinds)
    return "" if is_right else " or ".join(getattr(one, "__name__", str(one)) for one in kinds)
