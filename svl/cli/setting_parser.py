"""The parser of a fit's settings: jsonargparse's, with errors that name the setting at fault in one line."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from svl.cli.allowed import describe, import_path
from svl.cli.arguments import Given
from svl.cli.parse_errors import NestedError, explain
from svl.cli.places import construct
from svl.compat.jsonargparse import HELP_OF_CLASS, LISTED_SUBCLASSES, naming, setting_names, type_of
from svl.config_file import dump_yaml
from svl.errors import SettingError
from svl.optim.rule import UpdateRule

# Whose class a short name means, after svl's own, where several libraries have one of the name.
_PREFERRED = ("torch", "lightning")
# jsonargparse takes null for a value of these types.
_NEVER_NULL = (bool, int, float, str)


def _starts_anew(made: Any) -> bool:
    """Whether a network, or an optimizer, whose settings are not those of the one that it replaces."""
    return inspect.isfunction(made) or (inspect.isclass(made) and issubclass(made, (nn.Module, UpdateRule)))


class SettingParser(LightningArgumentParser):
    """Parses the settings of ``svl fit``, ``validate`` and ``test``.

    Attributes:
        given: every setting that the user gave, by dotted name; set while a command line is being parsed.
    """

    given: ClassVar[Given] = Given()

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Namespace:
        """Parse words; short names are those of svl's own classes."""
        if args is not None and not self.exit_on_error:
            args = [self._in_yaml(word) for word in args]
        with naming(import_path, _PREFERRED, _starts_anew):
            return super().parse_args(args, *more, **options)

    def dump(self, *config: Any, **options: Any) -> str:
        """Settings as YAML."""
        with naming(import_path, _PREFERRED, _starts_anew):
            return super().dump(*config, **options)

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if not self.exit_on_error:
            raise NestedError(str(message), self) from ex
        raise explain(str(message), ex, self, self.given) from ex

    def instantiate(self, namespace: Namespace, instantiate_groups: bool = True, **_: Any) -> Namespace:
        """Make the objects; a :class:`SettingError` that one raises knows which (:func:`svl.cli.places.construct`)."""
        # Also in place of Lightning's instantiators, which save hyperparameters that nothing reads.
        with naming(import_path, _PREFERRED, _starts_anew):
            return super().instantiate(namespace, instantiate_groups, instantiators=[(construct, object, True)])

    def format_help(self, *formatter: Any) -> str:
        """The help page, without the dozens of classes of other libraries that a setting could be.

        The page of a class says what the class does, also where it has no settings.
        """
        page = re.sub(LISTED_SUBCLASSES, ")", super().format_help(*formatter))
        of_class = re.match(HELP_OF_CLASS, self.description or "")
        if not of_class:
            return page
        kind: Any = pkgutil.resolve_name(of_class[1])
        about = (inspect.getdoc(kind) or "").partition("\n\nArgs:")[0]
        settings = [name for name in setting_names(self) if name != "help" and not name.endswith(".help")]
        return f"{page.rstrip()}\n\n{about}\n" + ("" if settings else "\nIt has no settings.\n")

    def _in_yaml(self, word: str) -> str:
        """A word for the settings of a class, in which jsonargparse has written the value as Python does."""
        option, equals, text = word.partition("=")
        key = option.removeprefix("--").replace(".init_args", "")
        given = {name: value for name, value in self.given.items() if name.endswith(f".{key}")}
        if text == "None" and text not in given.values():
            kind = type_of(self, key)
            if kind in _NEVER_NULL:
                raise SettingError(next(iter(given), key), None, describe(kind))
            return f"{option}{equals}null"
        if text.startswith(("[", "{")):
            with suppress(ValueError, SyntaxError):
                return f"{option}{equals}{dump_yaml(ast.literal_eval(text))}"
        return word

    def check_given(self) -> None:
        """Refuse what jsonargparse would ignore or misread: null where a value is needed, a value for a group.

        Raises:
            SettingError: naming the setting.
        """
        for key, value in self.given.items():
            kind = type_of(self, key)
            if (value is None or value == "null") and kind in _NEVER_NULL:
                raise SettingError(key, None, describe(kind))
        names = [name for name in setting_names(self) if "." in name and not name.endswith(".help")]
        for group in sorted({name.partition(".")[0] for name in names}):
            if group in self.given:
                raise SettingError(group, self.given[group], f"a mapping with settings of {group}")
