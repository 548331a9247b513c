"""The command line before jsonargparse parses it: configs are located, varied settings merged, given ones listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from svl.config_file import dump_yaml, flatten, load_yaml, locate, read_config
from svl.errors import SettingError

_VARY = "replicas.vary"


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""Stands for a value that was not given."""


@dataclass
class Arguments:
    """A command line that jsonargparse can parse.

    Attributes:
        words: the command line, with configs located and varied settings merged.
        given: every setting that the user gave, in a config or as words, by dotted name without ``init_args``.
    """

    words: list[str]
    given: dict[str, Any]


def prepare(arguments: list[str]) -> Arguments:
    """Locate the configs, and merge each ``--replicas.vary.KEY LIST`` into the ``vary`` of the configs.

    The list ``null`` stops varying KEY.

    Raises:
        SettingError: for a config that cannot be read or a list that is not YAML.
    """
    words: list[str] = []
    given: dict[str, Any] = {}
    vary: Any = {}
    overrides: dict[str, Any] = {}
    rest = iter(_split(arguments))
    for word in rest:
        if word in ("--config", "-c"):
            path = locate(next(rest, ""))
            content = read_config(path)
            given |= dict(flatten(content))
            replicas = content.get("replicas")
            vary = (replicas.get("vary") if isinstance(replicas, dict) else None) or vary
            words += ["--config", path]
        elif _varies(word):
            key = word.removeprefix(f"--{_VARY}").removeprefix(".")
            value = _value(word.removeprefix("--"), next(rest, "--"))
            vary, overrides = (vary, {**overrides, key: value}) if key else (value, {})
        else:
            words.append(word)
    given |= _given(words)
    if any(map(_varies, _split(arguments))):
        merged = {**vary, **overrides} if isinstance(vary, dict) else overrides or vary
        if isinstance(merged, dict):
            merged = {key: value for key, value in merged.items() if value is not None or key not in overrides}
        given = {key: value for key, value in given.items() if not key.startswith(_VARY)}
        given |= dict(flatten({_VARY: merged}))
        words += [f"--{_VARY}", dump_yaml(merged)]
    return Arguments(words, given)


def _varies(word: str) -> bool:
    return word == f"--{_VARY}" or word.startswith(f"--{_VARY}.")


def _split(arguments: list[str]) -> list[str]:
    """Split ``--config=x`` and ``--replicas.vary.k=x`` into two words each."""
    words: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        split = equals and (name in ("--config", "-c") or _varies(name))
        words += [name, value] if split else [argument]
    return words


def _given(words: list[str]) -> dict[str, Any]:
    """The settings among the words, by dotted name."""
    given: dict[str, Any] = {}
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name == "--config":
            continue
        following = words[number + 1] if number + 1 < len(words) else "--"
        text = value if equals else NOTHING if following.startswith("--") else following
        given |= dict(flatten(_nest_or_text(text), name[2:].rstrip("+").replace(".init_args", "")))
    return given


def _nest_or_text(text: Any) -> Any:
    try:
        value = load_yaml(text) if isinstance(text, str) else None
    except (yaml.YAMLError, ValueError):
        return text
    return value if isinstance(value, dict | list) else text


def _value(key: str, text: str) -> Any:
    try:
        if not text.startswith("--"):
            return load_yaml(text)
    except (yaml.YAMLError, ValueError):
        pass
    raise SettingError(key, NOTHING if text.startswith("--") else text, 'a list in YAML, such as "[4096, online]"')
