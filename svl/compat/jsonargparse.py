"""jsonargparse: what a parser knows of its settings, and the wording of its errors.

jsonargparse reports what is wrong with a setting in the text of nested exceptions. :mod:`svl.cli.parse_errors` reads
these texts, so the patterns for them are here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, get_type_hints

from jsonargparse import ArgumentParser, Namespace, _typehints

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
OTHER_CLASS = r"Import path (\S+) does not correspond to a subclass of"
"""A message about a class of another kind; the group is its name."""
AMBIGUOUS = r"Multiple subclasses with name (\w+)\..* avoid ambiguity: (.*)\."
"""A message about a name that several classes have; the groups are the name and the classes' import paths."""
MISSING_SETTING = r"arguments? (?:is|are) required: ([^\s,]+)"
MISSING_VALUE = r"argument (?:-\w/)?--([\w.]+)[^:]*: expected"
KEY = r"Parser key [\"']([^\"']+)[\"']"
"""The beginning of a message about the value of a setting; the group is the setting's name."""
VALUE = (r"Got value: (.*)", r"Given value: (.*)")
NESTED_VALUE = r"NestedArg\(key='([^']+)'"
"""How jsonargparse prints a value for one part of a setting; the group is the part's name."""
NO_TYPE_FITS = r"Does not validate against any of the Union subtypes"
"""Begins the error of a setting that can have one of several types; the error of the first type is its cause."""
SUBCOMMAND = r"(?:Subcommand '|.* required: )(fit|validate|test)\b"
"""The beginning of a message of the main parser about a subcommand."""
LISTED_SUBCLASSES = r",\s+known\s+subclasses:\s[^)]*(?:lightning|torchmetrics)[^)]*\)"
"""The part of a help page that lists the classes which a setting can be."""

HELP_OF_CLASS = r"Help for --\S+\.help=(\S+)$"
"""The heading of the help page of one class; the group is the class."""

# Names of the contexts of supplied(), in which functions need not be given the argument either.
_SUPPLIED: list[str] = []


def setting_names(parser: Any) -> list[str]:
    """The dotted names of everything that a parser accepts, also ``help`` and ``config``."""
    return [action.dest for action in parser._actions]


class Setting(NamedTuple):
    """A setting that a parser accepts.

    Attributes:
        name: its dotted name.
        hint: its type.
        default: the value that it has where none is given.
        about: what it is, in words.
    """

    name: str
    hint: Any
    default: Any
    about: str


def settings(parser: Any) -> list[Setting]:
    """The settings of a parser that have a type, without those that are set by others."""
    actions = [action for action in parser._actions if isinstance(action, _typehints.ActionTypeHint)]
    return [
        Setting(action.dest, action._typehint, action.default, action.help if isinstance(action.help, str) else "")
        for action in actions
    ]


def settings_of_class(made: Callable[..., Any], supplied: int = 0) -> list[Setting]:
    """The settings of a class, or of a function that makes something.

    Args:
        supplied: number of positional arguments that are no settings, since whoever calls it gives them.
    """
    parser = ArgumentParser(exit_on_error=False)
    add = parser.add_class_arguments if inspect.isclass(made) else parser.add_function_arguments
    add(made, as_group=False, fail_untyped=False, skip={supplied} if supplied else None)
    return settings(parser)


def subclass_paths(base: type) -> list[str]:
    """The import paths of a class's subclasses that are imported, which a config can choose by their names."""
    return _typehints.get_all_subclass_paths(base)


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


def made_by(build: Any) -> Any:
    """The class or the function that a callable setting names: jsonargparse hands it over inside partial functions."""
    parts = [*reversed(getattr(build, "args", ())), getattr(build, "func", None), build]
    return next((part for part in parts if inspect.isclass(part) or inspect.isfunction(part)), build)


@contextmanager
def naming(
    choose: Callable[[Any, str], str | None], preferred: tuple[str, ...], starts_anew: Callable[[Any], bool]
) -> Iterator[None]:
    """A context in which svl decides what a name in a config means.

    jsonargparse takes a short name for any imported class that has it, refuses names that several classes have, gives
    settings to classes only, and hands the settings and defaults of a class on to the class that replaces it. In this
    context ``choose`` is asked first, and functions have settings too.

    Args:
        choose: returns the import path for the type of a setting and a short name, or ``None``.
        preferred: packages whose class is meant where several have a name, in order.
        starts_anew: whether a class or function takes no settings from what it replaces.
    """
    discard = _typehints.discard_init_args_on_class_path_change
    resolve, adapt = _typehints.resolve_class_path_by_name, _typehints.adapt_partial_callable_class

    def resolve_name(kind: Any, name: str) -> str:
        chosen = None if "." in name else choose(kind, name)
        if chosen is not None:
            return chosen
        try:
            return resolve(kind, name)
        except ValueError as error:
            several = re.search(AMBIGUOUS, str(error))
            paths = several[2].split(", ") if several else []
            for package in preferred:
                for path in paths:
                    if path.startswith(f"{package}."):
                        return path
            raise

    def adapt_callable(hint: Any, settings: Any) -> tuple[Any, set[int | str] | None]:
        made = _typehints.import_object(settings.class_path) if "." in settings.class_path else None
        if not inspect.isfunction(made):
            return adapt(hint, settings)
        if not returns(made, _typehints.get_subclass_types(hint.__args__[-1]), None):
            expected = getattr(hint.__args__[-1], "__name__", "")
            raise ImportError(f"Expected '{settings.class_path}' to be a function that returns {expected}.")
        supplied_names = {name for name in _SUPPLIED if _requires(made, name)}
        return settings, {len(hint.__args__) - 1} | supplied_names

    def returns(function: Any, kinds: Any, logger: Any) -> bool:
        """Whether a function says that it returns one of the classes, or says nothing."""
        try:
            kind = get_type_hints(function).get("return")
        except Exception:  # annotations that cannot be evaluated raise whatever they like
            return True
        return kind is None or (isinstance(kind, type) and issubclass(kind, kinds))

    def discard_settings(parser: Any, before: Any, now: Any) -> None:
        other = before and "init_args" in before and before["class_path"] != now["class_path"]
        if other and starts_anew(_typehints.import_object(now["class_path"])):
            before["init_args"] = Namespace()
        else:
            discard(parser, before, now)

    replaced = {
        "discard_init_args_on_class_path_change": discard_settings,
        "resolve_class_path_by_name": resolve_name,
        "adapt_partial_callable_class": adapt_callable,
        "function_returns_subclass": returns,
    }
    before = {name: getattr(_typehints, name) for name in replaced}
    try:
        vars(_typehints).update(replaced)
        yield
    finally:
        vars(_typehints).update(before)


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
    _SUPPLIED.append(name)
    try:
        yield
    finally:
        _SUPPLIED.remove(name)
        vars(_typehints)["adapt_partial_callable_class"] = adapt


def _requires(made: Callable[..., Any], name: str) -> bool:
    """Whether a class or a function has an argument of this name without a default."""
    try:
        argument = inspect.signature(made).parameters.get(name)
    except (TypeError, ValueError):
        return False
    return argument is not None and argument.default is inspect.Parameter.empty
