"""What the command line does before and after jsonargparse: finding configs, varied settings, and errors in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from svl.errors import SettingError, nearest

_VARY = "--replicas.vary."
_PACKAGE = Path(__file__).resolve().parent


def locate(path: str) -> str:
    """A config's path: as given if it exists, else below the checkout or the installed package (``configs/...``).

    Raises:
        SettingError: if there is no such file.
    """
    if Path(path).is_file():
        return path
    for root in (_PACKAGE.parent, _PACKAGE):
        if not Path(path).is_absolute() and (root / path).is_file():
            return str(root / path)
    raise SettingError("--config", path, "an existing file, relative to the working directory or shipped with svl")


def prepare(arguments: list[str]) -> list[str]:
    """The command line with configs located and ``--replicas.vary.KEY LIST`` merged over the configs' own ``vary``.

    A value of ``null`` stops varying that setting.

    Raises:
        SettingError: for a config that is not there or a list that is not YAML.
    """
    result: list[str] = []
    vary: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    rest = iter(_split(arguments))
    for argument in rest:
        if argument in ("--config", "-c"):
            path = locate(next(rest, ""))
            vary = _vary_of(path) or vary
            result += ["--config", path]
        elif argument.startswith(_VARY):
            key = argument[len(_VARY) :]
            overrides[key] = _yaml(f"replicas.vary.{key}", next(rest, ""))
        else:
            result.append(argument)
    if overrides:
        merged = {key: value for key, value in {**vary, **overrides}.items() if value is not None}
        result += ["--replicas.vary", json.dumps(merged)]
    return result


def _split(arguments: list[str]) -> list[str]:
    """``--config=x`` and ``--replicas.vary.k=x`` as two words each."""
    words: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        words += [name, value] if equals and (name in ("--config", "-c") or name.startswith(_VARY)) else [argument]
    return words


def _yaml(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingError(key, text, 'a list in YAML, such as "[4096, online]"') from None


def _vary_of(path: str) -> dict[str, Any]:
    content = _yaml("--config", Path(path).read_text())
    replicas = content.get("replicas") if isinstance(content, dict) else None
    return (replicas.get("vary") or {}) if isinstance(replicas, dict) else {}


def explain(message: str, keys: list[str]) -> SettingError:
    """jsonargparse's message as one line: the key, what was given, what is allowed.

    Args:
        message: several lines, the innermost cause last.
        keys: all keys of the parser, to suggest the nearest.
    """
    unknown = re.search(r"[Uu]nrecognized arguments: (?:--)?([^\s=]+)", message)
    unknown = unknown or re.search(r"(?:Key|Group key|Option) ['\"]([^'\"]+)['\"] is not expected", message)
    unknown = unknown or re.search(r"No action for key ['\"]([^'\"]+)['\"]", message)
    if unknown:
        key = _join(_context(message), unknown[1])
        return SettingError(key, unknown[1], f"a known setting{nearest(key, keys) or nearest(unknown[1], keys)}")
    key = _context(message) or "settings"
    given = re.search(r"Given value: (.*)", message) or re.search(r"Got value: (.*)", message)
    expected = re.findall(r"(?:Expected|Problem with|Does not validate|invalid choice|not a subclass)[^\n]*", message)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    allowed = expected[-1] if expected else lines[-1]
    allowed = re.sub(r"\.? Got value:.*", "", re.sub(r"^Expected (an? )?", "", allowed)).replace("<class '", "").replace("'>", "")
    return SettingError(key, given[1].strip() if given else "", allowed)


def _context(message: str) -> str:
    """The dotted key that nested messages add up to."""
    parts = re.findall(r'[Pp]arser key ["\']([^"\']+)["\']', message)
    return parts[-1] if parts else ""


def _join(context: str, key: str) -> str:
    return key if not context or key.startswith(context) else f"{context}.{key}"
