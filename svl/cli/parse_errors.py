"""jsonargparse's nested exceptions in one line: the key as the user writes it, the value, and what is allowed."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from svl.cli.allowed import class_names, describe, describe_classes
from svl.cli.arguments import NOTHING, Given
from svl.cli.hints import about_class, instead_of
from svl.cli.imports import check_modules, why_not
from svl.cli.own_code import causes
from svl.compat import jsonargparse
from svl.errors import SettingError, nearest

_NO_SETTING = r"^(help|config|print_config|print_shtab|subcommand)$|\.help$"
_LIST_ALL = 12
# A value is quoted in the message, which must stay one line.
_LONGEST = 200


class NestedError(argparse.ArgumentError):
    """An error inside the settings of a class, with the parser of these settings."""

    def __init__(self, message: str, parser: Any) -> None:
        super().__init__(None, message)
        self.parser = parser


@dataclass
class _Diagnosis:
    """What a chain of exceptions says.

    Attributes:
        parser: the innermost parser that raised one.
        path: keys from the outermost parser to the innermost, dotted where a parser's keys are.
        hint: type of the innermost setting.
        messages: those of the exceptions since the innermost key was named, outermost first.
    """

    parser: Any
    path: list[str] = field(default_factory=list)
    hint: Any = None
    messages: list[str] = field(default_factory=list)

    def search(self, *patterns: str) -> re.Match[str] | None:
        """The innermost match of a pattern: messages repeat those of their causes in other words."""
        matches = (re.search(pattern, message) for pattern in patterns for message in reversed(self.messages))
        return next((match for match in matches if match), None)


def explain(message: str, error: BaseException | None, parser: Any, given: Given) -> SettingError:
    """The error that names the setting at fault.

    Args:
        message: the outermost parser's message.
        error: the exception behind it, if there was one.
        parser: the outermost parser.
        given: every setting that the user gave, by dotted name without ``init_args``.
    """
    raised = next((cause for cause in causes(error) if isinstance(cause, SettingError)), None)
    if raised is not None:
        return raised
    try:
        check_modules(given)
    except SettingError as broken:
        return broken
    diagnosis = _diagnose(message, error, parser)
    unknown = diagnosis.search(*jsonargparse.UNKNOWN_SETTING)
    if unknown:
        return _unknown(_written([*diagnosis.path, unknown[1]], given), diagnosis, given)
    missing = diagnosis.search(jsonargparse.MISSING_SETTING)
    if missing:
        names = class_names(jsonargparse.type_of(diagnosis.parser, missing[1]))
        allowed = f"{', '.join(names) or 'a value'}; this setting has no default"
        return SettingError(_of_a_class(diagnosis, missing[1], given), NOTHING, allowed)
    no_value = diagnosis.search(jsonargparse.MISSING_VALUE)
    if no_value:
        keys = [key for key, value in given.items() if value is NOTHING and key.startswith(no_value[1])]
        return SettingError(keys[-1] if keys else no_value[1], NOTHING, "one value")
    name = diagnosis.search(*jsonargparse.UNKNOWN_CLASS) or diagnosis.search(jsonargparse.OTHER_CLASS)
    if name:
        key = _named_at(name[1], diagnosis, given)
        return SettingError(key, name[1], _why_no_class(key, name[1], diagnosis, given))
    several = diagnosis.search(jsonargparse.AMBIGUOUS)
    if several:
        allowed = f"one of the classes of this name: {several[2].replace(', ', ' or ')}"
        return SettingError(_named_at(several[1], diagnosis, given), several[1], allowed)
    key, value = _written(diagnosis.path, given), _got(diagnosis)
    below = re.match(jsonargparse.NESTED_VALUE, str(value))
    if below and class_names(diagnosis.hint):
        allowed = f"{describe_classes(diagnosis.hint)}; settings of the class were given, but not the class"
        return SettingError(_dotted(diagnosis.path), NOTHING, allowed)
    if key not in given and below:
        key = f"{key}.{below[1]}"
        parent, value = _dotted(diagnosis.path), describe(diagnosis.hint)
        in_config = f"nothing on the command line; define new entries of {parent} in a config file"
        allowed = in_config if "a mapping" in value else f"no settings of {parent}, whose value is {value}"
        return SettingError(key, short(given.get(key, NOTHING)), allowed)
    replaced = given.replaced(key, str(value))
    if replaced:
        # The parser checks a config before the words that replace its settings.
        return SettingError(key, short(replaced[0]), f"{describe(diagnosis.hint)} (in {replaced[1]})")
    value = given.get(key, NOTHING if below else value)
    if diagnosis.hint is None:
        return SettingError(key or "settings", short(value), " ".join(message.split()))
    return SettingError(key, short(value), describe(diagnosis.hint))


def _named_at(name: str, diagnosis: _Diagnosis, given: Given) -> str:
    """The key at which the user gave the name of a class."""
    places = [place.removesuffix(".class_path") for place, value in given.items() if value == name]
    inner = [place for place in places if place.startswith(_dotted(diagnosis.path))]
    return inner[-1] if inner else _dotted(diagnosis.path)


def _of_a_class(diagnosis: _Diagnosis, setting: str, given: Given) -> str:
    """The key of a setting of a class, which may stand under a name that the path leaves out (model.schedules.NAME)."""
    text = diagnosis.search(jsonargparse.UNKNOWN_CLASS[-1])
    key = _dotted(diagnosis.path)
    for place, value in given.items():
        place = place.removesuffix(".class_path")
        if text and place.startswith(f"{key}.") and str(value).rpartition(".")[2] == text[1].rpartition(".")[2]:
            key = place
            break
    return _dotted([key, setting] if key else [setting])


def _why_no_class(key: str, name: str, diagnosis: _Diagnosis, given: Given) -> str:
    """What is allowed in place of the name of a class that cannot be used, and why it cannot."""
    folders = [Path(), *(Path(path).parent for path in given.configs)]
    reason = about_class(key, name) or why_not(name, folders)
    if not reason and "." in name:
        reason = f"{name} is not one"
    return describe_classes(diagnosis.hint, name) + (f"; {reason}" if reason else "")


def _diagnose(message: str, error: BaseException | None, parser: Any) -> _Diagnosis:
    diagnosis = _Diagnosis(_subparser(parser, message))
    seen = set()
    for text, cause in [(message, None), *((str(cause), cause) for cause in causes(error))]:
        if isinstance(cause, NestedError):
            diagnosis.parser = cause.parser
        key = re.match(jsonargparse.KEY, text)
        if key and text not in seen:
            diagnosis.path.append(key[1])
            diagnosis.hint = jsonargparse.type_of(diagnosis.parser, key[1])
            diagnosis.messages.clear()
        diagnosis.messages.append(text)
        seen.add(text)
    return diagnosis


def _subparser(parser: Any, message: str) -> Any:
    """The parser of the subcommand that a message of the main parser is about."""
    named = re.match(jsonargparse.SUBCOMMAND, message)
    return jsonargparse.subcommand_parser(parser, named[1]) if named else parser


def _dotted(path: list[str]) -> str:
    parts = ".".join(path).split(".")
    if parts[0] in ("fit", "validate", "test"):
        parts = parts[1:]
    return ".".join(part for part in parts if part != "init_args")


def _written(path: list[str], given: Given) -> str:
    """The key that the user wrote: with the names of groups and the indices of list items, which a path leaves out."""
    key = _dotted(path)
    if key in given or not path:
        return key
    pattern = re.compile(r"(?:\.[^.]+)?\.".join(re.escape(_dotted([part])) for part in path))
    candidates = [name for name in given if pattern.fullmatch(name)]
    return candidates[-1] if candidates else key


def _unknown(key: str, diagnosis: _Diagnosis, given: Given) -> SettingError:
    inner = bool(diagnosis.path)
    names = [name for name in jsonargparse.setting_names(diagnosis.parser) if not re.search(_NO_SETTING, name)]
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
    close = instead_of(key) or close
    if len(siblings) <= _LIST_ALL and (prefix or inner):
        return SettingError(key, short(given.get(key, NOTHING)), (", ".join(siblings) or "no settings") + close)
    return SettingError(key, short(given.get(key, NOTHING)), f"a setting that 'svl fit --help' lists{close}")


def _got(diagnosis: _Diagnosis) -> Any:
    match = diagnosis.search(*jsonargparse.VALUE)
    return match[1] if match else None


def short(value: Any) -> Any:
    """The value itself, or the beginning of its text if the text is long."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    text = str(value)
    return value if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
