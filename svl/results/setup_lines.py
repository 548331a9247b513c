"""The choices that define an experiment, one line each: task, data, network, loss, optimizer, ..."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from svl.results.quantity import setting
from svl.results.question import MOST_VALUES, listed, varied_values


def setup_lines(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, str]:
    """A line for each choice that defines the experiment; varied settings are left to the line ``varied``.

    Args:
        settings: the resolved config.
        summary: of the run, as in ``summary.json``.
    """
    data, model = settings["data"], settings["model"]
    varied = {key.rpartition(".")[2] for key in summary["vary"]}
    task = (data.get("init_args") or {}).get("task")
    parts = {
        "task": task,
        "data": data,
        "network": model.get("network"),
        "loss": model.get("loss"),
        "optimizer": model.get("optimizer"),
    }
    lines = {name: _described(part, varied) for name, part in parts.items() if part}
    strategy = data.get("init_args") or {}
    named = {
        "axes": strategy.get("axes"),
        "streams": strategy.get("streams"),
        "interventions": {**(strategy.get("interventions") or {}), **(model.get("interventions") or {})},
        "groups": model.get("groups"),
        "schedules": model.get("schedules"),
    }
    for name, several in named.items():
        if several:
            lines[name] = "; ".join(f"{label}: {_described(part, varied)}" for label, part in several.items())
    if model.get("parameterisation"):
        lines["parameterisation"] = _described(model["parameterisation"], varied)
    lists = (f"{key}: {_shortened(values)}" for key, values in varied_values(summary).items())
    seeds = [row["seeds"] for row in summary["arms"]]
    seeds_per_arm = listed(list(map(str, sorted(set(seeds)))))
    return {
        **lines,
        **({"varied": "; ".join(lists)} if summary["vary"] else {}),
        "replicas": f"{len(seeds)} arm{'s' * (len(seeds) > 1)} of {seeds_per_arm} seed{'s' * (max(seeds) > 1)}",
    }


def _described(part: Any, varied: set[str]) -> str:
    """``Parity: dim 20, degree 6``: the class, if there is one, and those of its settings that are values or lists."""
    if not isinstance(part, Mapping):
        return str(part)
    settings = (part.get("init_args") or {}) if "class_path" in part else part
    shown = {
        key: value
        for key, value in settings.items()
        if key not in varied
        and (isinstance(value, str | int | float) or (isinstance(value, list) and not any(map(_is_nest, value))))
    }
    text = ", ".join(
        f"{key} {json.dumps(value) if isinstance(value, bool) else setting(value)}" for key, value in shown.items()
    )
    if "class_path" not in part:
        return text
    return f"{str(part['class_path']).rpartition('.')[2]}{': ' * bool(text)}{text}"


def _shortened(values: Sequence[str]) -> str:
    """The values, or the first two and the last of many."""
    if len(values) <= MOST_VALUES:
        return ", ".join(values)
    return f"{values[0]}, {values[1]}, ..., {values[-1]} ({len(values)} values)"


def _is_nest(value: Any) -> bool:
    return isinstance(value, Mapping)
