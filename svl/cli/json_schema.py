"""A JSON schema of a fit's config, from the parser: with it an editor completes and checks YAML while it is typed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from torch import nn

from svl.cli.allowed import own_classes
from svl.compat.jsonargparse import Setting, settings, settings_of_class, subclass_paths

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    Path: {"type": "string"},
}
# A class that neither svl nor a library that it knows has.
_IMPORT_PATH: Schema = {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"}


class JsonSchema:
    """The schema of the settings of a parser.

    Args:
        parser: of a fit's settings.

    Attributes:
        content: the schema; the settings of each class of svl stand once, below ``$defs``.
    """

    def __init__(self, parser: Any) -> None:
        self.definitions: dict[str, Schema] = {}
        root = self._nested(settings(parser))
        self.content = {
            "$schema": DIALECT,
            "title": "Config of svl fit",
            "description": "The settings of an experiment; svl schema has written this file.",
            **root,
            "$defs": dict(sorted(self.definitions.items())),
        }

    def _nested(self, every: list[Setting]) -> Schema:
        """An object with settings whose names may be dotted: ``trainer.max_steps`` is in the object ``trainer``."""
        groups: dict[str, list[Setting]] = {}
        properties: dict[str, Schema] = {}
        for setting in every:
            group, dot, rest = setting.name.partition(".")
            if dot:
                groups.setdefault(group, []).append(setting._replace(name=rest))
            else:
                properties[setting.name] = self._setting(setting)
        properties |= {group: self._nested(members) for group, members in groups.items()}
        return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}

    def _setting(self, setting: Setting) -> Schema:
        schema = dict(self.of(setting.hint))
        if setting.about and setting.about != "==SUPPRESS==":
            schema["description"] = " ".join(setting.about.split())
        if isinstance(setting.default, bool | int | float | str | list):
            schema["default"] = setting.default
        return schema

    def of(self, hint: Any) -> Schema:
        """The schema of the values of a type."""
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any or hint is object:
            return {}
        if isinstance(hint, type) and hint in _PLAIN:
            return dict(_PLAIN[hint])
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(part) for part in arguments]}
        if origin in (list, tuple, set) or (inspect.isclass(origin) and issubclass(origin, list | tuple)):
            item = self.of(arguments[0]) if arguments and origin is not tuple else {}
            return {"type": "array", **({"items": item} if item else {})}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if origin is Callable or hint is Callable:
            supplied = arguments[0] if arguments and isinstance(arguments[0], list) else []
            return self._class(arguments[-1], len(supplied)) if arguments else {}
        if inspect.isclass(hint) and issubclass(hint, Enum):
            return {"enum": [member.name for member in hint]}
        if dataclasses.is_dataclass(hint) and inspect.isclass(hint) and not hint.__subclasses__():
            return self._definition(hint)
        return self._class(hint) if inspect.isclass(hint) else {}

    def _class(self, base: type, supplied: int = 0) -> Schema:
        """A class with its settings: by its name alone, or by ``class_path`` and ``init_args``.

        svl's own classes have the settings that they have; the others any.
        """
        name = f"Any-{base.__name__}" + f"-{supplied}" * bool(supplied)
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] |= self._choice(base, supplied)
        return {"$ref": f"#/$defs/{name}"}

    def _choice(self, base: type, supplied: int) -> Schema:
        own = own_classes(base)
        paths = {f"{package}.{name}" for name, package in own.items()}
        # Of torch's own modules, a thousand with those of torchmetrics, none is a network.
        found = [] if base is nn.Module else subclass_paths(base)
        others = sorted({path.rpartition(".")[2] for path in found if path not in paths} - set(own))
        names = [{"enum": [*sorted(own), *others]}] if own or others else []
        named: Schema = {"anyOf": [*names, _IMPORT_PATH]}
        rules = []
        for name, package in sorted(own.items()):
            made = getattr(importlib.import_module(package), name)
            definition = self._definition(made, supplied)
            chosen = {"required": ["class_path"], "properties": {"class_path": {"enum": [name, f"{package}.{name}"]}}}
            rules.append({"if": chosen, "then": {"properties": {"init_args": definition}}})
        settings_given: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"class_path": named, "init_args": {"type": ["object", "null"]}},
            # Without class_path they are the settings of the default class.
            "anyOf": [{"required": ["class_path"]}, {"required": ["init_args"]}],
            **({"allOf": rules} if rules else {}),
        }
        return {"type": ["string", "object"], "if": {"type": "string"}, "then": named, "else": settings_given}

    def _definition(self, made: Any, supplied: int = 0) -> Schema:
        """The settings of a class, except the first ``supplied`` ones, which whoever calls it gives."""
        name = made.__name__ + f"-{supplied}" * bool(supplied)
        if name not in self.definitions:
            about = (inspect.getdoc(made) or "").partition("\n\n")[0]
            self.definitions[name] = {"description": " ".join(about.split())}  # a class may have itself as a setting
            self.definitions[name] |= self._nested(settings_of_class(made, supplied)) | {"type": ["object", "null"]}
        return {"$ref": f"#/$defs/{name}"}
