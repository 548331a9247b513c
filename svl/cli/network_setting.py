"""The setting ``model.network`` on a command line: its settings belong to one class or function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from svl.cli.options import Option
from svl.config_file import dump_yaml, load_yaml

_KEY = "model.network"
_NAMES = (_KEY, f"{_KEY}.class_path")
_DEFAULT = "MLP"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def separate(options: list[Option]) -> list[Option]:
    """Keep the settings of one network apart from those of another, and give settings to functions.

    jsonargparse hands the settings of a class on to the class that replaces it, as far as it has settings of the same
    names. Here a network takes none from a config that names another network. The words of a command line all belong to
    the network that it names, whatever their order.
    """
    name = _DEFAULT
    for place, option in enumerate(options):
        network = _network(option)
        following = network.get("class_path") if isinstance(network, dict) else network
        if isinstance(following, str):
            if following.removeprefix("svl.models.") != name.removeprefix("svl.models."):
                _forget_settings(options[:place])
            name = following
        _spell(option, network)
    return _named_first(options)


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


def _forget_settings(options: list[Option]) -> None:
    """Remove the settings of the network from configs."""
    for option in options:
        network = _network(option)
        if option.content is not None and isinstance(network, dict):
            network.pop("init_args", None)


def _spell(option: Option, network: Any) -> None:
    """Write an import path as ``{class_path: ...}``, which a function with settings needs."""
    is_path = isinstance(network, str) and _PATH.fullmatch(network) and not Path(network).exists()
    if is_path and option.content is not None:
        option.content["model"]["network"] = {"class_path": network}
    elif is_path and option.key == _KEY:
        option.value = dump_yaml({"class_path": network})


def _named_first(options: list[Option]) -> list[Option]:
    """The options with the word that names the network before the words that give it settings."""
    ordered: list[Option] = []
    for option in options:
        place = len(ordered)
        if option.key in _NAMES:
            for earlier in range(len(ordered) - 1, -1, -1):
                if ordered[earlier].content is not None:
                    break
                if ordered[earlier].key.startswith(f"{_KEY}."):
                    place = earlier
        ordered.insert(place, option)
    return ordered
