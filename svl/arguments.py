"""What the command line does before jsonargparse: finding configs, reading them, and merging varied settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from svl.errors import SettingError

_VARY = "replicas.vary"
_PACKAGE = Path(__file__).resolve().parent
ROOTS = (_PACKAGE.parent, _PACKAGE)
"""Where the shipped configs are: in a checkout and in an installed package."""
# Python's own spelling of floats: YAML 1.1 takes 1e-3, without a point, for a string.
_FLOAT = "|".join(
    (
        r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+",
        r"[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)",
        r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    )
)


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""Stands for a value that was not given."""


class _Loader(yaml.SafeLoader):
    """YAML as jsonargparse reads it."""


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that :class:`_Loader` would take for numbers."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT})$"), list("-+0123456789."))


@dataclass
class Arguments:
    """A command line that jsonargparse can parse.

    Attributes:
        words: with configs located and varied settings merged.
        given: every setting that was given, in configs or as words, by dotted name without ``init_args``.
    """

    words: list[str]
    given: dict[str, Any]


def locate(path: str, key: str = "--config") -> str:
    """A config's path: as given if it exists, else below the checkout or the installed package (``configs/...``).

    Raises:
        SettingError: if there is no such file.
    """
    roots = [Path(), *([] if Path(path).is_absolute() else ROOTS)]
    found = next((root / path for root in roots if path and (root / path).is_file()), None)
    if found is None:
        allowed = "an existing file, relative to the working directory or shipped with svl (configs/quickstart.yaml)"
        raise SettingError(key, path, allowed)
    return str(found)


def read_config(path: str) -> dict[str, Any]:
    """A config's content.

    Raises:
        SettingError: if it is not YAML, or not a mapping of settings.
    """
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise SettingError("--config", path, f"a YAML file ({_reason(error)})") from None
    if not isinstance(content, dict) or not content:
        raise SettingError("--config", path, "a YAML file of settings (key: value)")
    return content


def load_yaml(text: str) -> Any:
    """The value that a text stands for in YAML; ``1e-3`` is a number."""
    return yaml.load(text, _Loader)


def prepare(arguments: list[str]) -> Arguments:
    """Locate configs and merge ``--replicas.vary.KEY LIST`` over the configs' own ``vary``; ``null`` stops varying KEY.

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
        text = yaml.dump(
            merged, Dumper=_Dumper, default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True
        )
        words += [f"--{_VARY}", text.strip()]
    return Arguments(words, given)


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nest of settings by dotted name; ``init_args`` is left out, places in lists are numbers."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flatten(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
    elif isinstance(tree, list) and any(isinstance(value, Mapping) for value in tree):
        for place, value in enumerate(tree):
            yield from flatten(value, f"{prefix}.{place}")
    else:
        yield prefix, tree


def _varies(word: str) -> bool:
    return word == f"--{_VARY}" or word.startswith(f"--{_VARY}.")


def _split(arguments: list[str]) -> list[str]:
    """``--config=x`` and ``--replicas.vary.k=x`` as two words each."""
    words: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        split = equals and (name in ("--config", "-c") or _varies(name))
        words += [name, value] if split else [argument]
    return words


def _given(words: list[str]) -> dict[str, Any]:
    """The settings among the words."""
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


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, OSError):
        return str(error.strerror)
    return " ".join(str(error).split())
