"""A candidate of the race: one way of repeating data, and the families of such ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from svl.data.size import ONLINE

LEAST = 8
"""The fewest examples of a set that is repeated."""


@dataclass(frozen=True)
class Extent:
    """The data of a problem, in which families choose their sizes.

    Attributes:
        steps: of one fit.
        batch: examples of one step.
        stored: training examples of stored data; ``None`` where fresh examples do not end.
        population: number of distinct inputs of an enumerable task, else ``None``.
        has_accuracy: whether the task has an accuracy, by which automatic phases advance.
    """

    steps: int
    batch: int
    stored: int | None = None
    population: int | None = None
    has_accuracy: bool = True

    @property
    def drawn(self) -> int:
        """Examples that one fit processes."""
        return self.steps * self.batch

    @property
    def whole(self) -> int:
        """Distinct examples that a fit sees without a restriction: all stored ones, or as many as it processes."""
        return min(self.drawn, self.stored or self.drawn)

    @property
    def rest(self) -> int | str:
        """The size that stands for all data: all stored examples, or fresh ones."""
        return self.stored or ONLINE

    def sizes(self, divisors: list[int]) -> list[int]:
        """Sizes of small sets: ``whole`` over each divisor, without those that are too small or not small."""
        sizes = dict.fromkeys(round(self.whole / divisor) for divisor in divisors)
        return [size for size in sizes if self.is_small(size)]

    def is_small(self, size: int) -> bool:
        """Whether a set has a useful size: not fewer than :data:`LEAST` examples, and fewer than all."""
        return LEAST <= size < min(self.whole, self.population or self.whole)

    def epochs(self, size: int) -> str:
        """How often a fit goes through a set of this size: ``47 epochs``."""
        epochs = self.drawn / size
        return f"{epochs:.3g} epochs" if epochs < 100 else f"{epochs:,.0f} epochs"

    def steps_of(self, share: float) -> int:
        """A share of the steps, at least 1."""
        return max(1, round(share * self.steps))


@dataclass(frozen=True)
class Candidate:
    """One way of repeating data, or fresh data.

    Attributes:
        family: the keyword of its family.
        name: short, which names its arms.
        says: what to do, in words: ``train on the same 6,000 examples for 64 epochs``.
        strategy: the class of ``data``.
        fixed: constructor arguments of the strategy that are the same for all candidates of the strategy.
        settings: those that differ by candidate, by dotted name.
        numbers: by which the family finds neighbours.
    """

    family: str
    name: str
    says: str
    strategy: str
    fixed: Mapping[str, Any]
    settings: Mapping[str, Any]
    numbers: Mapping[str, float]


class Family(ABC):
    """A family of candidates: one kind of strategy with several sizes. A new family is one new module in ``families``.

    Attributes:
        keyword: its name.
        order: its place in the race, from 1; a small budget keeps the first candidates of each family.
    """

    keyword: ClassVar[str]
    order: ClassVar[int]

    @abstractmethod
    def first(self, extent: Extent) -> list[Candidate]:
        """The candidates of the first round, the most promising first; none where the family does not apply."""

    def neighbours(self, candidate: Candidate, extent: Extent) -> list[Candidate]:
        """Candidates near one that has done well, for the second round."""
        return []
