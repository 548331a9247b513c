"""What W&B's agent gives a fit: each setting as a word in Python's spelling, and its value in a file."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from svl.config_file import dump_yaml

VARIABLE = "WANDB_SWEEP_PARAM_PATH"
"""The environment variable with the path of the agent's file."""


def settings() -> dict[str, Any]:
    """The agent's settings by dotted name; empty where no agent has started this process."""
    path = os.environ.get(VARIABLE)
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else None
    except (OSError, yaml.YAMLError):
        return {}
    pairs = (entries or {}).items()
    return {key: entry["value"] for key, entry in pairs if isinstance(entry, dict) and "value" in entry}


def word(key: str, value: Any) -> str:
    """The word that gives a setting a value: W&B's agent's own, with YAML where that writes ``None`` or a nest."""
    return f"--{key}={dump_yaml(value) if value is None or isinstance(value, list | dict) else value}"


def understood(words: Sequence[str]) -> list[str]:
    """A command line in which the agent's words stand for its values: ``--key=null`` in place of ``--key=None``."""
    values = settings()
    return [_understood(given, values) for given in words] if values else list(words)


def _understood(given: str, values: Mapping[str, Any]) -> str:
    name, _, text = given.partition("=")
    key = name.removeprefix("--")
    if key not in values:
        return given
    try:
        is_agents = ast.literal_eval(text) == values[key]
    except (ValueError, SyntaxError):
        return given
    return word(key, values[key]) if is_agents else given
