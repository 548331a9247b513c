"""The setting ``model.network`` on a command line: it stands before its settings, as a class or a function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from svl.cli.options import Option
from svl.config_file import dump_yaml, load_yaml

_KEY = "model.network"
_NAMES = (_KEY, f"{_KEY}.class_path")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def arrange(options: list[Option]) -> list[Option]:
    """Name the network before its settings, and give settings to functions.

    Words before the first one that names the network belong to that network, whatever their order.
    """
    arranged: list[Option] = []
    for option in options:
        _spell(option, _network(option))
        place = len(arranged)
        if option.key in _NAMES:
            while place and arranged[place - 1].content is None and arranged[place - 1].key not in _NAMES:
                place -= 1
            is_first = place == 0 or arranged[place - 1].content is not None
            settings = (later for later in range(place, len(arranged)) if _is_setting(arranged[later]))
            place = next(settings, len(arranged)) if is_first else len(arranged)
        arranged.insert(place, option)
    return arranged


def _is_setting(option: Option) -> bool:
    return option.key.startswith(f"{_KEY}.") and option.key not in _NAMES


def _network(option: Option) -> Any:
    """What an option says of the network."""
    if option.content is not None:
        model = option.content.get("model")
        return model.get("network") if isinstance(model, dict) else None
    if option.key not in _NAMES or option.value is None:
        return None
    try:
        return load_yaml(option.value)
    except (yaml.YAMLError, ValueError):
        return option.value


def _spell(option: Option, network: Any) -> None:
    """Write an import path as ``{class_path: ...}``, which a function with settings needs."""
    is_path = isinstance(network, str) and _PATH.fullmatch(network) and not Path(network).exists()
    if is_path and option.content is not None:
        option.content["model"]["network"] = {"class_path": network}
    elif is_path and option.key == _KEY:
        option.value = dump_yaml({"class_path": network})
