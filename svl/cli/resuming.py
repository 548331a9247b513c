"""A fit that is resumed with other settings: which may change, and what is said about them."""

from __future__ import annotations

import sys
from typing import Any

import torch

from svl.config_file import dump_yaml
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.optim.schedule import factors
from svl.results.run_directory import RunDirectory
from svl.training.replica_module import ReplicaModule


def change_settings(run: RunDirectory, model: ReplicaModule, data: ReuseDataModule, config: str) -> None:
    """Write the settings that differ from those of the run so far into its config, and print them in one line.

    Args:
        run: the run directory, with the differences.
        model: prepared for the new settings.
        data: the strategy.
        config: the resolved config.

    Raises:
        SettingError: for a longer fit whose steps so far would have been others.
    """
    if not run.changed:
        return
    for key, before, now in run.changed:
        if key == "trainer.max_steps":
            _check_longer(model, data, before, now)
    run.update(config)
    changes = "; ".join(f"{key} {_short(now)} in place of {_short(before)}" for key, before, now in run.changed)
    print(f"svl: {run.path} is resumed with {changes}{_kept(run, model)}", file=sys.stderr)


def _kept(run: RunDirectory, model: ReplicaModule) -> str:
    """What the history of a longer fit has that it would not have if it had been as long from the beginning."""
    last = next((before for key, before, _ in run.changed if key == "trainer.max_steps"), 0)
    if last in model.measured_steps:
        return ""
    return f"; its measurement at step {last}, the last one then, stays in the history"


def _check_longer(model: ReplicaModule, data: ReuseDataModule, before: int, now: int) -> None:
    """Refuse a longer fit in which examples or rates of the steps so far depend on the number of steps."""
    chunk = data.steps_per_batch
    settings = []
    for steps in (before, now):
        data.schedule(steps, chunk, data.measured_steps)
        settings.append(data.settings_of(model.replicas))
    if not _equal(*settings):
        allowed = f"{before}, as long as the strategy's settings depend on the number of steps (sizes as fractions do)"
        raise SettingError("trainer.max_steps", now, allowed)
    if not torch.equal(factors(model.schedules, before), factors(model.schedules, now)[:before]):
        raise SettingError("trainer.max_steps", now, f"{before}, as long as a schedule depends on the number of steps")


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_equal(value, second[name]) for name, value in first.items())
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else bool(first == second)


def _short(value: Any) -> str:
    text = "none" if value is None else dump_yaml(value).removesuffix("...").strip()
    return text if len(text) <= 60 else f"{text[:60]}..."
