"""The question that the arms of a run answer, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svl.results.arm_label import short_names
from svl.results.arms import compared_setting
from svl.results.quantity import setting
from svl.results.tables import threshold

MOST_VALUES = 8
"""More values than these are not written out."""


def question(summary: Mapping[str, Any]) -> str:
    """The question that the arms of a run answer.

    Args:
        summary: of the run, as in ``summary.json``.
    """
    target, vary = summary["target"], summary["vary"]
    if not target:
        return "How do the measured quantities develop?"
    reached = goal(summary)
    key = compared_setting(vary)
    if key is None or len(summary["arms"]) == 1:
        return f"After how many samples does the network reach {reached}?"
    names = dict(zip(vary, short_names(vary), strict=True))
    values = varied_values(summary)
    others = [value for value in values[key] if value != setting(summary["reference"][key])]
    at = [f"{names[other]} = {listed(values[other])}" for other in vary if other != key]
    where = f", at {' and '.join(at)}" if at else ""
    return f"Does {names[key]} = {listed(others)} reach {reached} after fewer samples than {against(summary)}{where}?"


def varied_values(summary: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of each varied setting."""
    rows = [row["settings"] for row in summary["arms"]]
    return {key: list(dict.fromkeys(setting(row[key]) for row in rows)) for key in summary["vary"]}


def goal(summary: Mapping[str, Any]) -> str:
    """``val/accuracy of 90 %``: the target; empty where the run has none."""
    target = summary["target"]
    if not target:
        return ""
    return f"{target['metric']}{' of' * target['metric'].endswith('accuracy')} {threshold(target)}"


def against(summary: Mapping[str, Any]) -> str:
    """``size = online``: the settings of the reference arms."""
    names = dict(zip(summary["vary"], short_names(summary["vary"]), strict=True))
    return ", ".join(f"{names[key]} = {setting(value)}" for key, value in summary["reference"].items())


def listed(values: Sequence[str]) -> str:
    """``16, 32 or online``; many values are shortened: ``0.1, 0.2, ... or 50 (500 values)``."""
    if len(values) > MOST_VALUES:
        return f"{values[0]}, {values[1]}, ... or {values[-1]} ({len(values)} values)"
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else "".join(values)
