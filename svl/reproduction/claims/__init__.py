"""The vocabulary of claims: a class a file, each a test over seeds; a figure's config names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from svl.errors import SettingError, nearest
from svl.reproduction.claims.ahead import Ahead
from svl.reproduction.claims.best_ratio import BestRatio
from svl.reproduction.claims.faster import Faster
from svl.reproduction.claims.interior_optimum import InteriorOptimum
from svl.reproduction.claims.measured import Measured
from svl.reproduction.claims.no_gap import NoGap
from svl.reproduction.claims.trend import Trend
from svl.reproduction.fields import build
from svl.reproduction.outcome import Outcome, check_arm
from svl.reproduction.verdict import Tested

CLAIMS: dict[str, type] = {
    "faster": Faster,
    "ahead": Ahead,
    "no gap": NoGap,
    "interior optimum": InteriorOptimum,
    "trend": Trend,
    "ratio of best rates": BestRatio,
    "measured": Measured,
}


@runtime_checkable
class Claim(Protocol):
    """A statement about arms that data can decide."""

    def names(self) -> list[str]:
        """The arms that it is about."""

    def test(self, outcome: Outcome) -> Tested:
        """What the data say."""


def read(key: str, content: Any, arms: Mapping[str, Any]) -> Claim:
    """A claim from a config: ``{claim: faster, arm: small, than: large}``.

    Args:
        key: where it stands.
        arms: by name, those that there are.

    Raises:
        SettingError: naming what is wrong.
    """
    if not isinstance(content, Mapping) or content.get("claim") not in CLAIMS:
        given = content.get("claim") if isinstance(content, Mapping) else content
        raise SettingError(f"{key}.claim", given, ", ".join(CLAIMS) + nearest(str(given), list(CLAIMS)))
    own = {name: value for name, value in content.items() if name != "claim"}
    claim: Claim = build(key, CLAIMS[content["claim"]], own)
    for name in claim.names():
        check_arm(key, name, arms)
    return claim
