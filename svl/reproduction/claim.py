"""The base class of claims: statements about a figure that data can decide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested


class Claim(ABC):
    """A statement about arms that data can decide.

    A claim is a frozen dataclass in a module of its own in ``svl.reproduction.claims``; its fields are the keys that a
    config gives besides ``claim``.

    Attributes:
        keyword: the value of ``claim`` in a config.
        of_theory: whether the claim is about the numbers of an experiment of ``svl theory`` instead of arms.
    """

    keyword: ClassVar[str]
    of_theory: ClassVar[bool] = False

    @abstractmethod
    def names(self) -> list[str]:
        """The arms that the claim is about."""

    @abstractmethod
    def test(self, outcome: Outcome) -> Tested:
        """Estimate the claimed effect and judge it."""

    def check(self, tuned: Collection[str], settings: Collection[str]) -> None:  # noqa: B027
        """Check before the training that the figure has what the claim needs.

        Args:
            tuned: names of the settings that the figure tunes.
            settings: names of all settings that differ between its arms.

        Raises:
            SettingError: with the name of the wrong field.
        """
