"""The command line before jsonargparse parses it: configs are read and merged, given settings listed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from svl.cli import network_setting
from svl.cli.options import CONFIG as CONFIG_OPTION
from svl.cli.options import Option, join, last, split
from svl.config_file import dump_yaml, flatten, is_inline, load_yaml, locate, read_config, whole_number
from svl.errors import SettingError
from svl.results.files import CHECKPOINT, CONFIG

_VARY = "replicas.vary"
# These settings, and those outside of every group, are texts: 1e3 stays one there.
_TEXTS = ("wandb.", "target.metric", "trainer.max_time")
_SCIENTIFIC_INSIDE = re.compile(r"\d[eE]\+?\d")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""Stands for a value that was not given."""


class Given(dict[str, Any]):
    """Every setting that the user gave, in a config or as words, by dotted name without ``init_args``.

    Attributes:
        configs: the settings of each config by its path, also those that a later config or word replaces.
    """

    def __init__(self) -> None:
        super().__init__()
        self.configs: dict[str, dict[str, Any]] = {}

    def replaced(self, key: str, text: str) -> tuple[Any, str] | None:
        """The value of a setting in a config that prints as ``text`` and was replaced, with the config's path."""
        if str(self.get(key)) == text:
            return None
        found = ((settings[key], path) for path, settings in self.configs.items() if key in settings)
        return next((value for value in found if str(value[0]) == text), None)


@dataclass
class Arguments:
    """A command line that jsonargparse can parse.

    Attributes:
        words: the command line, with the configs' contents in place of their paths, and varied settings merged.
        given: what the user gave.
    """

    words: list[str]
    given: Given


def prepare(arguments: list[str]) -> Arguments:
    """Read the configs, and merge what they and ``--replicas.vary.KEY LIST`` say of the settings that vary.

    The list ``null`` stops varying KEY. Without ``--config``, the config of the checkpoint's run is read.

    Raises:
        SettingError: for a config that cannot be read or a list that is not YAML.
    """
    options, given = _with_config(split(arguments)), Given()
    vary: list[tuple[str, Any]] = []  # names of settings, empty for all of them, and their values
    kept: list[Option] = []
    for option in options:
        if option.name in CONFIG_OPTION:
            path = option.value or ""
            path = path if is_inline(path) else locate(path)
            content = read_config(path)
            given.configs[path] = dict(flatten(content))
            given.update(given.configs[path])
            replicas = content.get("replicas")
            if isinstance(replicas, dict) and "vary" in replicas:
                vary += _items(replicas["vary"])
            kept.append(Option("--config", content=_run_again(content, path, options)))
        elif _varies(option):
            key, value = option.key.removeprefix(_VARY).removeprefix("."), _value(option)
            vary += [(key, value)] if key else [("", None), *_items(value)]
        else:
            given.update(_settings(option))
            kept.append(option)
    if any(map(_varies, options)) or (len(given.configs) > 1 and vary):
        merged = _merge(vary)
        for key in [key for key in given if key.startswith(_VARY)]:
            del given[key]
        given.update(flatten({_VARY: merged}))
        kept.append(Option(f"--{_VARY}", dump_yaml(merged)))
    kept = network_setting.arrange(kept)
    for option in kept:
        option.value = _in_whole_numbers(option) if option.content is None else dump_yaml(option.content)
    return Arguments(join(kept), given)


def _varies(option: Option) -> bool:
    return option.key == _VARY or option.key.startswith(f"{_VARY}.")


def _items(vary: Any) -> list[tuple[str, Any]]:
    return list(vary.items()) if isinstance(vary, dict) and vary else [("", vary)]


def _merge(vary: list[tuple[str, Any]]) -> Any:
    """The settings that vary: later values of a setting replace earlier ones, ``null`` removes them."""
    merged: dict[str, Any] = {}
    for key, value in vary:
        if not key and value:
            return value  # not a mapping, which the parser refuses
        if not key:
            merged = {}
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def _with_config(options: list[Option]) -> list[Option]:
    """The options with the config beside the checkpoint that they name, if they name no config."""
    path = last(options, "ckpt_path")
    if path is None or any(option.name in CONFIG_OPTION for option in options):
        return options
    config = Path(path).parent.parent / CONFIG
    if not (Path(path).is_file() and config.is_file()):
        return options
    return [*options[:1], Option("--config", str(config)), *options[1:]]


def _run_again(content: dict[str, Any], path: str, options: list[Option]) -> dict[str, Any]:
    """The content of a config; a run's own config names no run and no checkpoint, unless the words ask for one.

    So ``svl fit --config RUN/config.yaml`` trains the fit again, in a new directory.
    """
    folder = Path(path).absolute().parent
    is_own = Path(path).name == CONFIG and (folder / CHECKPOINT).exists()
    if not is_own or last(options, "ckpt_path") is not None:
        return content
    return {key: value for key, value in content.items() if key not in ("run_id", "ckpt_path")}


def _in_whole_numbers(option: Option) -> str | None:
    """The value of an option with ``1000`` in place of ``1e3``, unless the setting is a text."""
    text = option.value
    if text is None or "." not in option.key or option.key.startswith(_TEXTS):
        return text
    whole = whole_number(text)
    if whole is not None:
        return str(whole)
    value = _nest_or_text(text) if _SCIENTIFIC_INSIDE.search(text) else text
    return text if isinstance(value, str) else dump_yaml(value)


def _settings(option: Option) -> list[tuple[str, Any]]:
    """The settings that an option gives, by dotted name."""
    if not option.key:
        return []
    return list(flatten(NOTHING if option.value is None else _nest_or_text(option.value), option.key))


def _nest_or_text(text: str) -> Any:
    try:
        value = load_yaml(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if isinstance(value, dict | list) else text


def _value(option: Option) -> Any:
    try:
        if option.value is not None:
            return load_yaml(option.value)
    except (yaml.YAMLError, ValueError):
        pass
    given = NOTHING if option.value is None else option.value
    raise SettingError(option.name.removeprefix("--"), given, 'a list in YAML, such as "[4096, online]"')
