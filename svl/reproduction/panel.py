"""One panel of a figure: which arms, which metric, against what."""

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
    """What a panel shows.

    Attributes:
        kind: ``curves`` over the run; ``times`` to the target, arm by arm; ``grid``: how good each arm's rates are on
            the tuning seeds.
        arms: those shown; all if ``None``.
        metric: the figure's if ``None``.
        against: unit of the horizontal axis or of the times.
        title: above the panel.
        log: whether the metric has a logarithmic axis.
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
