"""Settings of a class on a command line: the class stands before its settings, as for ``model.network``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from svl.cli.options import Option
from svl.config_file import dump_yaml, load_yaml

_KEY = "model.network"
_START_ANEW = (_KEY, "model.optimizer")
"""Settings whose class takes no settings from the class that it replaces."""
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def arrange(options: list[Option]) -> list[Option]:
    """Name networks and optimizers before their settings, and give settings to functions.

    Words before the first one that names a class belong to that class, whatever their order.
    """
    for option in options:
        _spell(option, _network(option))
    for key in _START_ANEW:
        options = _class_first(options, key)
    return options


def _class_first(options: list[Option], key: str) -> list[Option]:
    names = (key, f"{key}.class_path")
    arranged: list[Option] = []
    for option in options:
        place = len(arranged)
        if option.key in names:
            while place and arranged[place - 1].content is None and arranged[place - 1].key not in names:
                place -= 1
            is_first = place == 0 or arranged[place - 1].content is not None
            later = range(place, len(arranged))
            settings = (n for n in later if arranged[n].key.startswith(f"{key}.") and arranged[n].key not in names)
            place = next(settings, len(arranged)) if is_first else len(arranged)
        arranged.insert(place, option)
    return arranged


def _network(option: Option) -> Any:
    """What an option says of the network."""
    if option.content is not None:
        model = option.content.get("model")
        return model.get("network") if isinstance(model, dict) else None
    if option.key not in (_KEY, f"{_KEY}.class_path") or option.value is None:
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
