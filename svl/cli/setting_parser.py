"""The parser of a fit's settings: jsonargparse's, with errors that name the setting at fault in one line."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from svl.cli.parse_errors import NestedError, explain
from svl.cli.places import construct
from svl.compat.jsonargparse import LISTED_SUBCLASSES, setting_names
from svl.errors import SettingError


class SettingParser(LightningArgumentParser):
    """Parses the settings of ``svl fit``, ``validate`` and ``test``.

    Attributes:
        given: every setting that the user gave, by dotted name; set while a command line is being parsed.
    """

    given: ClassVar[dict[str, Any]] = {}

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if not self.exit_on_error:
            raise NestedError(str(message), self) from ex
        raise explain(str(message), ex, self, self.given) from ex

    def instantiate(self, namespace: Namespace, instantiate_groups: bool = True, **_: Any) -> Namespace:
        """Make the objects; a :class:`SettingError` that one raises knows which (:func:`svl.cli.places.construct`)."""
        # Also in place of Lightning's instantiators, which save hyperparameters that nothing reads.
        return super().instantiate(namespace, instantiate_groups, instantiators=[(construct, object, True)])

    def format_help(self, *formatter: Any) -> str:
        """The help page, without the dozens of Lightning's own classes that a setting could be."""
        return re.sub(LISTED_SUBCLASSES, ")", super().format_help(*formatter))

    def check_groups(self) -> None:
        """Refuse a single value for a group of settings, which jsonargparse would ignore.

        Raises:
            SettingError: naming the group.
        """
        names = [name for name in setting_names(self) if "." in name and not name.endswith(".help")]
        for group in sorted({name.partition(".")[0] for name in names}):
            if group in self.given:
                raise SettingError(group, self.given[group], f"a mapping with settings of {group}")
