"""One panel of a figure: its arms, its metric and its axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from svl.errors import SettingError
from svl.reproduction.fields import build
from svl.reproduction.outcome import check_arm
from svl.results.statistics import Unit


@dataclass(frozen=True)
class Panel:
    """The content of a panel.

    Attributes:
        kind: ``curves`` over the run; ``times`` to the target of each arm; ``grid``: the scores of each arm's rates on
            the tuning seeds.
        arms: the arms shown; all if ``None``.
        metric: the figure's metric if ``None``.
        against: unit of the horizontal axis or of the times.
        title: text above the panel.
        log: whether the axis of the metric is logarithmic.
    """

    kind: Literal["curves", "times", "grid"] = "curves"
    arms: list[str] | None = None
    metric: str | None = None
    against: Unit = "samples"
    title: str = ""
    log: bool = False

    @classmethod
    def read(cls, key: str, content: Any, arms: Mapping[str, Any]) -> Panel:
        """A panel from a config.

        Raises:
            SettingError: naming what is wrong.
        """
        if not isinstance(content, Mapping):
            raise SettingError(key, content, "a mapping: {metric: norm_ratio}")
        panel = build(key, cls, content)
        for name in panel.arms or []:
            check_arm(f"{key}.arms", name, arms)
        return panel
