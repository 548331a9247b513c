"""jsonargparse's nested exceptions as one line: the key as the user writes it, what was given, what is allowed."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import Namespace

from svl.arguments import NOTHING
from svl.errors import SettingError, nearest

# Whose classes are named as examples; those of the engine can't be chosen in a config.
_OURS, _ENGINE = (
    ("svl", "callbacks"),
    ("svl.training", "callbacks.checkpoint", "callbacks.history", "callbacks.progress"),
)
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
_UNKNOWN = (
    r"unrecognized arguments: (?:--)?([^\s=]+)",
    r"Option '([^']+)' is not accepted",
    r"does not accept option '([^']+)'",
)
_CLASS_NAME = (
    r"dot import path string: (\S+)",
    r"given class_path '([^']+)'",
    r"callable class: .*Got value: (?:Namespace\(class_path=')?([\w.]+)",
)
_NO_SETTING = r"^(help|config|print_config|print_shtab|subcommand)$|\.help$"
_LIST_ALL = 12
# A given value is repeated in the message, which is to stay one line.
_LONGEST = 200


class NestedError(argparse.ArgumentError):
    """An error inside the settings of a class, and the parser that knows these settings."""

    def __init__(self, message: str, parser: Any) -> None:
        super().__init__(None, message)
        self.parser = parser


@dataclass
class _Diagnosis:
    """What the chain of exceptions says.

    Attributes:
        path: dotted keys from the outermost parser to the innermost.
        hint: type of the innermost setting.
        parser: the innermost parser.
        messages: of the exceptions since the innermost key was named, outermost first.
    """

    parser: Any
    path: list[str] = field(default_factory=list)
    hint: Any = None
    messages: list[str] = field(default_factory=list)

    def search(self, *patterns: str) -> re.Match[str] | None:
        """The innermost match of a pattern: a message quotes those of its causes, reworded, so these come first."""
        found = (re.search(pattern, message) for pattern in patterns for message in reversed(self.messages))
        return next((match for match in found if match), None)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, its cause, the cause's cause, ..."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def explain(message: str, error: BaseException | None, parser: Any, given: Mapping[str, Any]) -> SettingError:
    """The setting at fault.

    Args:
        message: what the outermost parser said.
        error: why, if there was an exception.
        parser: the outermost parser.
        given: every setting that the user gave, by dotted name without ``init_args``.
    """
    own = next((cause for cause in causes(error) if isinstance(cause, SettingError)), None)
    if own is not None:
        return own
    found = _diagnose(message, error, parser)
    unknown = found.search(*_UNKNOWN)
    if unknown:
        return _unknown(_written([*found.path, unknown[1]], given), found, given)
    missing = found.search(r"arguments? (?:is|are) required: ([^\s,]+)")
    if missing:
        names = class_names(_known_hint(found, missing[1]))
        allowed = f"{', '.join(names) or 'a value'}; this setting has no default"
        return SettingError(_dotted([*found.path, missing[1]]), NOTHING, allowed)
    no_value = found.search(r"argument (?:-\w/)?--([\w.]+)[^:]*: expected")
    if no_value:
        keys = [key for key, value in given.items() if value is NOTHING and key.startswith(no_value[1])]
        return SettingError(keys[-1] if keys else no_value[1], NOTHING, "one value")
    name = found.search(*_CLASS_NAME)
    if name:
        places = [place.removesuffix(".class_path") for place, value in given.items() if value == name[1]]
        inner = [place for place in places if place.startswith(_dotted(found.path))]
        return SettingError(inner[-1] if inner else _dotted(found.path), name[1], _classes(found.hint, name[1]))
    key, value = _written(found.path, given), _got(found)
    below = re.match(r"NestedArg\(key='([^']+)'", str(value))
    if below and class_names(found.hint):
        return SettingError(_dotted(found.path), NOTHING, f"{_classes(found.hint)}; it has settings of its own")
    if key not in given and below:
        key = f"{key}.{below[1]}"
        return SettingError(
            key, short(given.get(key, NOTHING)), f"nothing: {_dotted(found.path)} is {describe(found.hint)}"
        )
    value = given.get(key, NOTHING if below else value)
    if found.hint is None:
        return SettingError(key or "settings", short(value), " ".join(message.split()))
    return SettingError(key, short(value), describe(found.hint))


def _diagnose(message: str, error: BaseException | None, parser: Any) -> _Diagnosis:
    found = _Diagnosis(_subparser(parser, message))
    seen = set()
    for text, cause in [(message, None), *((str(cause), cause) for cause in causes(error))]:
        if isinstance(cause, NestedError):
            found.parser = cause.parser
        key = re.match(r"Parser key [\"']([^\"']+)[\"']", text)
        if key and text not in seen:
            found.path.append(key[1])
            found.hint = _known_hint(found, key[1])
            found.messages.clear()
        found.messages.append(text)
        seen.add(text)
    return found


def _subparser(parser: Any, message: str) -> Any:
    """The parser of the subcommand that a message of the main parser is about."""
    named = re.match(r"(?:Subcommand '|.* required: )(fit|validate|test)\b", message)
    return parser._subcommands_action._name_parser_map[named[1]] if named else parser


def _known_hint(found: _Diagnosis, key: str) -> Any:
    actions = {action.dest: action for action in found.parser._actions}
    action = actions.get(key) or actions.get(key.partition(".")[2])
    return getattr(action, "_typehint", None)


def _dotted(path: list[str]) -> str:
    parts = ".".join(path).split(".")
    if parts[0] in ("fit", "validate", "test"):
        parts = parts[1:]
    return ".".join(part for part in parts if part != "init_args")


def _written(path: list[str], given: Mapping[str, Any]) -> str:
    """The key that the user wrote: names of groups and places in lists, which a path leaves out, are filled in."""
    key = _dotted(path)
    if key in given or not path:
        return key
    pattern = re.compile(r"(?:\.[^.]+)?\.".join(re.escape(_dotted([part])) for part in path))
    candidates = [name for name in given if pattern.fullmatch(name)]
    return candidates[-1] if candidates else key


def _unknown(key: str, found: _Diagnosis, given: Mapping[str, Any]) -> SettingError:
    inner = bool(found.path)
    names = [action.dest for action in found.parser._actions if not re.search(_NO_SETTING, action.dest)]
    prefix, _, last = key.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in names if inner or name.rpartition(".")[0] == prefix}
    full = {last_part: f"{prefix}.{name}" if inner else name for last_part, name in siblings.items()}
    others = (name.removeprefix("replicas.vary.") for name in [*names, *given])
    elsewhere = [name for name in others if name != key and name.rpartition(".")[2] == last]
    if elsewhere and last != "class_path":
        close = f" (did you mean {elsewhere[0]!r}?)"
    elif siblings:
        close = nearest(last, siblings)
        for short_name, name in full.items():
            close = close.replace(f"{short_name!r}", f"{name!r}")
    else:
        close = nearest(key, names)
    if len(siblings) <= _LIST_ALL and (prefix or inner):
        return SettingError(key, short(given.get(key, NOTHING)), (", ".join(siblings) or "no settings") + close)
    return SettingError(key, short(given.get(key, NOTHING)), f"a setting that 'svl fit --help' lists{close}")


def _got(found: _Diagnosis) -> Any:
    match = found.search(r"Got value: (.*)") or found.search(r"Given value: (.*)")
    return match[1] if match else None


def short(value: Any) -> Any:
    """The value, or the beginning of its text if that is long."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    text = str(value)
    return value if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


# What is allowed ----------------------------------------------------------------------------------------------------


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
    return _classes(hint)


def _classes(hint: Any, given: Any = None) -> str:
    names = class_names(hint)
    if not names:
        return "the import path of a class"
    by_last = {name.rpartition(".")[2]: name for name in names}
    close = nearest(str(given).rpartition(".")[2], by_last)
    for last, name in by_last.items():
        close = close.replace(repr(last), repr(name))
    return f"{', '.join(names)}, or a class's import path{close}"


def class_names(hint: Any) -> list[str]:
    """Names of svl's own classes that a type accepts: subclasses, also of what a callable returns.

    A name that another class has too (torch's own Transformer) is an import path.
    """
    names, others = {}, []
    for base in _bases(hint):
        below = [base]
        while below:
            one = below.pop()
            below += [] if one is type else one.__subclasses__()
            package = one.__module__.rpartition(".")[0]
            exported = getattr(sys.modules.get(package), one.__name__, None) is one
            ours = one.__module__.partition(".")[0] in _OURS and not one.__module__.startswith(_ENGINE)
            if ours and exported and not inspect.isabstract(one):
                names[one.__name__] = package
            elif not ours:
                others.append(one.__name__)
    return sorted(f"{package}.{name}" if name in others else name for name, package in names.items())


def _bases(hint: Any) -> list[type]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is dict:
        return _bases(arguments[1]) if arguments else []
    if origin in (Union, types.UnionType, list):
        return [base for part in arguments for base in _bases(part)]
    if origin is Callable:
        return _bases(arguments[-1])
    return [hint] if inspect.isclass(hint) and hint not in _WORDS and hint is not list else []
