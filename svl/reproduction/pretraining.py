"""A fit that comes before all others of a figure, which begin with its weights: pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from svl import config_file
from svl.errors import SettingError
from svl.reproduction.fields import build
from svl.reproduction.fit import Fit, Settings


@dataclass(frozen=True)
class Pretraining:
    """The config of a fit with whose weights all fits of a figure begin.

    It is trained on the seeds of the fit that follows, and each replica begins with the weights of its own seed, so
    that seeds stay independent of each other, and tuning seeds of reported ones.

    Args:
        config: path of the config, which has one arm.
        settings: those that replace the config's.
    """

    config: str
    settings: Settings | None = None

    @classmethod
    def read(cls, key: str, content: Any) -> Pretraining | None:
        """The pre-training that a figure's config describes; ``None`` if it has none.

        Args:
            key: its place in the config.
            content: a mapping with ``config`` and, if needed, ``settings``.

        Raises:
            SettingError: for anything else, a config that does not exist, or one with several arms.
        """
        if content is None:
            return None
        if not isinstance(content, Mapping) or not isinstance(content.get("config"), str):
            raise SettingError(key, content, "a mapping with the path of a config: {config: FILE, settings: {...}}")
        pretraining = build(key, cls, content)
        replicas = pretraining._read().get("replicas") or {}
        if replicas.get("vary") or replicas.get("arms"):
            raise SettingError(f"{key}.config", pretraining.config, "a config without replicas.vary and replicas.arms")
        return pretraining

    def fit(self, following: Fit) -> Fit:
        """The fit that comes before another one, on the same seeds."""
        title = f"pre-training for {following.seeds} seeds from {following.first_seed} on"
        return Fit(title, self.config, dict(self.settings or {}), {}, following.seeds, following.first_seed)

    def followed_by(self, fit: Fit, run: Path) -> Fit:
        """A fit that begins with the weights of a run."""
        return replace(fit, settings={**fit.settings, "model.init.run": str(run)})

    def content(self) -> dict[str, Any]:
        """All that decides the weights, except the seeds."""
        base = {key: value for key, value in self._read().items() if key not in ("experiment", "replicas", "target")}
        return {"base": base, "settings": self.settings or {}}

    def _read(self) -> dict[str, Any]:
        return dict(config_file.read_config(config_file.locate(self.config)))
