"""A command line as options and their values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

CONFIG = ("--config", "-c")


@dataclass
class Option:
    """A word that begins an option, or stands for itself, and the option's value.

    Attributes:
        name: the word, e.g. ``--data.size``.
        value: the value as text; ``None`` for a word without one.
        content: what a config says, for ``--config``.
        is_joined: whether name and value are one word (``--data.size=64``).
    """

    name: str
    value: str | None = None
    content: dict[str, Any] | None = None
    is_joined: bool = False

    @property
    def key(self) -> str:
        """The dotted name of the setting, without ``init_args``; empty for a word that is not an option."""
        is_setting = self.name.startswith("--") and self.name not in CONFIG
        return self.name[2:].rstrip("+").replace(".init_args", "") if is_setting else ""


def split(words: Sequence[str]) -> list[Option]:
    """The options of a command line, in order."""
    options: list[Option] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word.startswith("-") and equals:
            options.append(Option(name, value, is_joined=True))
        elif word.startswith("--") or word in CONFIG:
            has_value = bool(rest) and not rest[0].startswith("--")
            options.append(Option(word, rest.pop(0) if has_value else None))
        else:
            options.append(Option(word))
    return options


def join(options: Iterable[Option]) -> list[str]:
    """The words of options."""
    words: list[str] = []
    for option in options:
        if option.value is None:
            words.append(option.name)
        else:
            words += [f"{option.name}={option.value}"] if option.is_joined else [option.name, option.value]
    return words


def last(options: Iterable[Option], key: str) -> str | None:
    """The last value that the words give to a setting."""
    values = [option.value for option in options if option.key == key]
    return values[-1] if values else None
