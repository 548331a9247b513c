"""The plan: how a budget is divided among the rounds of the race and the confirming run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from svl.errors import SettingError

SHARES = (0.40, 0.20, 0.15)
"""Shares of the budget: those of the rounds. The confirming run has the rest."""
CONFIRMING = 1 - sum(SHARES)
FEWEST = (3, 3, 4)
"""The fewest seeds of each round."""
FEWEST_CONFIRMING = 12
"""The fewest seeds of the confirming run."""
MOST, MOST_CONFIRMING = 48, 128
"""With more seeds than these, a larger budget is not used up."""
RATES = 3
"""Rates of each candidate in all rounds but the first."""
CONFIRMED = 3
"""Arms of the confirming run: the winner, and fresh data at their own best rate and at the winner's."""


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        arms: at most.
        seeds: of each arm.
        kept: candidates that come from the round before, in addition to fresh data.
        added: neighbours of these, at most.
    """

    arms: int
    seeds: int
    kept: int
    added: int


@dataclass(frozen=True)
class Plan:
    """All rounds.

    Attributes:
        candidates: of the first round, in addition to fresh data.
        rates: of each of them.
        rounds: of the race.
        confirming: seeds of the confirming run.
    """

    candidates: int
    rates: int
    rounds: tuple[Round, ...]
    confirming: int

    @property
    def replicas(self) -> list[int]:
        """Replicas of each round and of the confirming run, at most."""
        return [*(stage.arms * stage.seeds for stage in self.rounds), CONFIRMED * self.confirming]

    def thinned(self, factors: Sequence[float]) -> list[float]:
        """As many of the rates as the plan has for the first round: the first, the last and those evenly between."""
        last = len(factors) - 1
        return [factors[round(place * last / (self.rates - 1))] for place in range(self.rates)]


def make(replicas: float, candidates: int, rates: int, key: str, unit: float) -> Plan:
    """The largest plan that a budget allows.

    It has every candidate and rate, or fewer rates, or fewer candidates.

    Args:
        replicas: the budget in fits of one replica.
        candidates: that there are, in addition to fresh data.
        rates: that there are, at least 3.
        key: of the budget, for an error.
        unit: of the budget, for each replica.

    Raises:
        SettingError: for a budget that is too small for the smallest plan.
    """
    few = min(candidates, 5)
    shapes = [(candidates, rates, 3, 4), (candidates, RATES, 3, 4), (candidates, RATES, 3, 2), (few, RATES, 2, 0)]
    for count, width, kept, added in shapes:
        last = kept if added else 1
        kept = min(kept, candidates)
        arms = ((count + 1) * width, (1 + kept + added) * RATES, (1 + min(last, candidates)) * RATES)
        seeds = [int(share * replicas / number) for share, number in zip(SHARES, arms, strict=True)]
        confirming = int(CONFIRMING * replicas / CONFIRMED)
        if confirming >= FEWEST_CONFIRMING and all(n >= least for n, least in zip(seeds, FEWEST, strict=True)):
            numbers = zip(arms, seeds, (count, kept, min(last, candidates)), (0, added, 0), strict=True)
            rounds = tuple(Round(arm, min(seed, MOST), keep, add) for arm, seed, keep, add in numbers)
            return Plan(count, width, rounds, min(confirming, MOST_CONFIRMING))
    needed = [least * number / share for least, number, share in zip(FEWEST, arms, SHARES, strict=True)]
    least_replicas = max(*needed, FEWEST_CONFIRMING * CONFIRMED / CONFIRMING)
    allowed = f"at least {_above(least_replicas * unit)}: three rounds and a confirming run of the smallest size"
    raise SettingError(key, _plain(replicas * unit), allowed)


def _above(number: float) -> str:
    """A number rounded up to three significant digits."""
    for places in range(12, -13, -1):
        step = 10.0**places
        if number >= 100 * step:
            return _plain(-(-number // step) * step)
    return _plain(number)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
