"""The parser of every subcommand that is not a fit: its errors are :class:`~svl.errors.SettingError`."""

from __future__ import annotations

import argparse
from typing import NoReturn

from svl.errors import SettingError


class Parser(argparse.ArgumentParser):
    """Parses the words of one subcommand; a word that cannot be used is an error that shows the usage.

    Args:
        subcommand: its name after ``svl``, e.g. ``sweep run``.
        usage: the line that shows how it is called.
        description: what it does.
    """

    def __init__(self, subcommand: str, usage: str, description: str | None = None) -> None:
        super().__init__(prog=f"svl {subcommand}", usage=usage, description=description, allow_abbrev=False)
        self.subcommand, self.call = subcommand, usage

    def error(self, message: str) -> NoReturn:
        raise SettingError(self.subcommand, message, self.call)
