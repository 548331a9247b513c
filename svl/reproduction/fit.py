"""One fit of a figure: the command that trains its arms, and which rows of its history belong to which arm."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

Settings = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """The config and settings of a fit.

    Attributes:
        title: what the fit is for.
        config: path of the config.
        settings: those that replace the config's.
        arms: settings of each arm by name; arms with equal settings are trained as one. Without arms, every replica has
            the settings of the config.
        seeds: replicas of each arm.
        first_seed: the first of the seeds.
    """

    title: str
    config: str
    settings: Settings
    arms: dict[str, Settings]
    seeds: int
    first_seed: int

    @property
    def trained_arms(self) -> dict[str, Settings]:
        """The arms without those that repeat the settings of an earlier one."""
        trained: dict[str, Settings] = {}
        for name, settings in self.arms.items():
            if settings not in trained.values():
                trained[name] = settings
        return trained

    @property
    def replicas(self) -> int:
        """The number of replicas."""
        return self.seeds * max(1, len(self.trained_arms))

    @property
    def words(self) -> list[str]:
        """The command line after ``svl``."""
        replicas: Settings = {"seeds": self.seeds, "first_seed": self.first_seed}
        replicas |= {"arms": self.trained_arms} if self.arms else {}
        settings = self.settings | {f"replicas.{key}": value for key, value in replicas.items()}
        options = [word for key, value in settings.items() for word in (f"--{key}", _text(value))]
        return ["fit", "--config", self.config, *options]

    @property
    def command(self) -> str:
        """The command as a user types it."""
        return command(self.words)

    def rows(self, history: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The rows of each arm; arms with equal settings have the same rows."""
        trained = self.trained_arms
        rows = {}
        for arm, settings in self.arms.items():
            name = next(name for name in trained if trained[name] == settings)
            rows[arm] = history[history["arm"] == name]
        return rows


def command(words: Sequence[str]) -> str:
    """Words after ``svl`` as a user types them."""
    return shlex.join(["svl", *words])


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping | list | bool) or value is None else str(value)
