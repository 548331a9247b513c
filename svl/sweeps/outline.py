"""The fits of a sweep that has no runs yet, from its file and its configs alone.

Their settings are not checked, and their run directories have no names: both take the parser, and with it torch and
Lightning (:mod:`svl.sweeps.expanding`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from svl.cli.arguments import prepare
from svl.cli.options import CONFIG, split
from svl.config_file import load_yaml
from svl.errors import SettingError
from svl.sweeps.manifest import Manifest, Row, each_settings
from svl.sweeps.sweep_file import Settings, Sweep

SEEDS = 16
"""The default of ``replicas.seeds``."""


def outline(sweep: Sweep, runs: str) -> Manifest:
    """Every fit with its settings and its numbers of arms and seeds.

    Args:
        runs: the folder of all run directories.

    Raises:
        SettingError: for a config that cannot be read, or replicas that are not arms and seeds.
    """
    if sweep.method == "bayes":
        return Manifest(sweep, runs, [Row(number) for number in range(sweep.count)])
    rows = []
    for number, settings in enumerate(each_settings(sweep)):
        arms, seeds = _shape(sweep, settings)
        rows.append(Row(number, settings, None, arms, seeds))
    return Manifest(sweep, runs, rows)


def _shape(sweep: Sweep, settings: Settings) -> tuple[int, int]:
    """The number of arms of a fit, and of seeds."""
    replicas: dict[str, Any] = {}
    for option in split(prepare(sweep.words(settings)).words):
        if option.name in CONFIG:
            replicas |= load_yaml(option.value or "").get("replicas") or {}
        elif option.key == "replicas":
            replicas |= load_yaml(option.value or "") or {}
        elif option.key.startswith("replicas."):
            replicas[option.key.removeprefix("replicas.")] = load_yaml(option.value or "")
    arms, vary, seeds = replicas.get("arms"), replicas.get("vary") or {}, replicas.get("seeds", SEEDS)
    if not isinstance(vary, Mapping) or not all(isinstance(values, list) for values in vary.values()):
        raise SettingError("replicas.vary", vary, "a mapping from settings to lists of values")
    if not isinstance(seeds, int):
        raise SettingError("replicas.seeds", seeds, "a whole number")
    return len(arms) if arms else math.prod(map(len, vary.values())), seeds
