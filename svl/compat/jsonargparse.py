"""jsonargparse: what a parser knows of its settings, and the wording of its errors.

jsonargparse reports what is wrong with a setting in the text of nested exceptions. :mod:`svl.cli.parse_errors` reads
these texts, so the patterns for them are here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jsonargparse import _typehints

UNKNOWN_SETTING = (
    r"unrecognized arguments: (?:--)?([^\s=]+)",
    r"Option '([^']+)' is not accepted",
    r"does not accept option '([^']+)'",
)
"""Messages about a setting that does not exist; the group is its name."""
UNKNOWN_CLASS = (
    r"dot import path string: (\S+)",
    r"given class_path '([^']+)'",
    r"callable class: .*Got value: (?:Namespace\(class_path=')?([\w.]+)",
)
"""Messages about a class that cannot be used; the group is its name."""
MISSING_SETTING = r"arguments? (?:is|are) required: ([^\s,]+)"
MISSING_VALUE = r"argument (?:-\w/)?--([\w.]+)[^:]*: expected"
KEY = r"Parser key [\"']([^\"']+)[\"']"
"""The beginning of a message about the value of a setting; the group is the setting's name."""
VALUE = (r"Got value: (.*)", r"Given value: (.*)")
NESTED_VALUE = r"NestedArg\(key='([^']+)'"
"""How jsonargparse prints a value for one part of a setting; the group is the part's name."""
SUBCOMMAND = r"(?:Subcommand '|.* required: )(fit|validate|test)\b"
"""The beginning of a message of the main parser about a subcommand."""
LISTED_SUBCLASSES = r",\s+known\s+subclasses:\s[^)]*lightning[^)]*\)"
"""The part of a help page that lists the classes which a setting can be."""


def setting_names(parser: Any) -> list[str]:
    """The dotted names of everything that a parser accepts, also ``help`` and ``config``."""
    return [action.dest for action in parser._actions]


def type_of(parser: Any, key: str) -> Any:
    """The type of a setting, ``None`` if there is no such setting or it has no type.

    Args:
        parser: of a command, or of the settings of one class.
        key: the dotted name, which for the settings of a class may begin with that of the class's own setting.
    """
    actions = {action.dest: action for action in parser._actions}
    action = actions.get(key) or actions.get(key.partition(".")[2])
    return getattr(action, "_typehint", None)


def subcommand_parser(parser: Any, subcommand: str) -> Any:
    """The parser of a subcommand's settings."""
    return parser._subcommands_action._name_parser_map[subcommand]


@contextmanager
def supplied(name: str) -> Iterator[None]:
    """A context in which a class that a callable setting names need not be given the argument ``name``.

    Whoever calls the class gives it, as it gives the positional arguments. Where the argument has a default it stays a
    setting, so that configs with it can still be read.
    """
    adapt = _typehints.adapt_partial_callable_class

    def adapt_callable(hint: Any, settings: Any) -> tuple[Any, set[int | str] | None]:
        settings, skipped = adapt(hint, settings)
        made: Any = _typehints.import_object(settings.class_path) if skipped is not None else None
        return settings, skipped | {name} if skipped is not None and _requires(made, name) else skipped

    vars(_typehints)["adapt_partial_callable_class"] = adapt_callable
    try:
        yield
    finally:
        vars(_typehints)["adapt_partial_callable_class"] = adapt


def _requires(made: Callable[..., Any], name: str) -> bool:
    """Whether a class or a function has an argument of this name without a default."""
    try:
        argument = inspect.signature(made).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return argument is not None and argument.default is inspect.Parameter.empty


def wrapped(build: Any) -> list[Any]:
    """A callable and what is inside it: jsonargparse hands over a class as a partial function of other functions."""
    return [build, getattr(build, "func", None), *getattr(build, "args", ())]
