"""The scales at which a figure can be run: smoke, laptop, paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from svl.checks import check_number
from svl.errors import SettingError, nearest

SCALES = ("smoke", "laptop", "paper")
_KEYS = (
    "title",
    "theory",
    "pretraining",
    "claim",
    "fits",
    "tune",
    "claims",
    "panels",
    "deviations",
    "minutes",
    "scales",
    "settings",
    "arms",
)
# Every figure's settings at smoke scale, in addition to its own `scales.smoke`: the least that runs all of the code.
_SMOKE = {
    "trainer.max_steps": 8,
    "trainer.log_every_n_steps": 4,
    "model.compile": "never",
    "replicas.seeds": 2,
    "data.test_size": 64,
}


def at_scale(figure: Mapping[str, Any], scale: str) -> dict[str, Any]:
    """The figure with the changes of a scale: mappings of settings are merged, everything else is replaced.

    Args:
        figure: the section ``figure`` of a config.

    Raises:
        SettingError: for a key or a scale that does not exist.
    """
    scales = figure.get("scales") or {}
    changes = dict(scales.get(scale) or {})
    for part, prefix in ((figure, "figure"), (changes, f"figure.scales.{scale}")):
        for key in part:
            if key not in _KEYS:
                raise SettingError(f"{prefix}.{key}", part[key], ", ".join(_KEYS) + nearest(key, _KEYS))
        if part.get("minutes") is not None:
            check_number(f"{prefix}.minutes", part["minutes"], 0, math.inf, open_high=True)
    for name in scales:
        if name not in SCALES:
            raise SettingError(f"figure.scales.{name}", scales[name], ", ".join(SCALES) + nearest(name, SCALES))
    if scale == "smoke":
        changes["settings"] = {**_SMOKE, **changes.get("settings", {})}
    merged = {**figure, **changes}
    for key in ("settings", "fits", "arms"):
        if key in figure and key in changes:
            merged[key] = {**figure[key], **changes[key]}
    if scale != "laptop" and "minutes" not in changes:
        merged["minutes"] = None
    return merged
