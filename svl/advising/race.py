"""The race: rounds of arms on paired seeds, after each of which only the best candidates remain.

An arm is a candidate with a rate. In each round all arms have the same seeds, which no other round has. A candidate
counts with its best arm, by the mean logarithm of the time to the target; a seed that does not reach the target counts
with the end of the fit. Fresh data are in every round, with as many rates as every other candidate: they are tuned
equally. The second round adds neighbours of the best candidates, and every round narrows the rates around the best one
of each candidate; where that is the first or the last one that was tried, the next rates lie beyond it.

Source: Karnin, Koren and Somekh 2013 (sequential halving), with a third in place of a half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from svl.advising.candidate import Candidate
from svl.advising.plan import Plan, Round
from svl.advising.trial import Trial


@dataclass(frozen=True)
class Arm:
    """A candidate with a rate.

    Attributes:
        candidate: the strategy.
        factor: by which the config's rates are multiplied.
    """

    candidate: Candidate
    factor: float

    @property
    def name(self) -> str:
        """Its name in a fit."""
        return f"{self.candidate.name}, rate x {self.factor:.3g}"


Trials = Mapping[str, Trial]
Measure = Callable[[int, Sequence[Arm]], Trials]
"""Trains arms on the seeds of a round, counted from 0, and returns their trials by the arms' names."""
Neighbours = Callable[[Candidate], list[Candidate]]


@dataclass(frozen=True)
class Standing:
    """A candidate after a round.

    Attributes:
        candidate: the strategy.
        factor: its best rate.
        trial: of its best arm.
        tried: the factors of all its arms, in increasing order.
    """

    candidate: Candidate
    factor: float
    trial: Trial
    tried: tuple[float, ...]


@dataclass(frozen=True)
class Raced:
    """The result of the race.

    Attributes:
        rounds: the standings after each round, the best first.
        winner: the best arm that repeats data.
        fresh: the best arm on fresh data.
    """

    rounds: list[list[Standing]]
    winner: Arm
    fresh: Arm

    @property
    def has_learned(self) -> bool:
        """Whether, in the last round, half of the seeds of the winner or of fresh data reached the target."""
        finalists = (self.winner.candidate, self.fresh.candidate)
        last = [standing.trial for standing in self.rounds[-1] if standing.candidate in finalists]
        return max(float(trial.reached.mean()) for trial in last) >= 0.5


def race(
    fresh: Candidate,
    candidates: Sequence[Candidate],
    factors: Sequence[float],
    plan: Plan,
    measure: Measure,
    neighbours: Neighbours,
) -> Raced:
    """Run the rounds of a plan.

    Args:
        fresh: the reference, which no round drops.
        candidates: of the first round.
        factors: rates of the first round, in increasing order.
        plan: of the rounds.
        measure: trains the arms of a round.
        neighbours: candidates near a candidate.
    """
    factors = plan.thinned(factors)
    arms = [Arm(candidate, factor) for candidate in (fresh, *candidates[: plan.candidates]) for factor in factors]
    spacing = (factors[-1] / factors[0]) ** (1 / (len(factors) - 1))
    rounds: list[list[Standing]] = []
    for number in range(len(plan.rounds)):
        rounds.append(standings(arms, measure(number, arms)))
        spacing = spacing**0.5
        if number + 1 < len(plan.rounds):
            arms = _next_arms(rounds[-1], fresh, plan.rounds[number + 1], spacing, neighbours)
    best = [next(each for each in rounds[-1] if (each.candidate == fresh) is is_fresh) for is_fresh in (False, True)]
    winner, reference = (Arm(standing.candidate, standing.factor) for standing in best)
    return Raced(rounds, winner, reference)


def standings(arms: Sequence[Arm], measured: Trials) -> list[Standing]:
    """Each candidate with its best arm, the best candidate first; of equal ones the earlier."""
    by_candidate: dict[str, list[Arm]] = {}
    for arm in arms:
        by_candidate.setdefault(arm.candidate.name, []).append(arm)
    found = []
    for own in by_candidate.values():
        best = min(own, key=lambda arm: measured[arm.name].score)
        tried = tuple(sorted(arm.factor for arm in own))
        found.append(Standing(best.candidate, best.factor, measured[best.name], tried))
    return sorted(found, key=lambda standing: standing.trial.score)


def _next_arms(
    ranked: Sequence[Standing], fresh: Candidate, stage: Round, spacing: float, neighbours: Neighbours
) -> list[Arm]:
    """The arms of the next round: fresh data, the best candidates, and their neighbours."""
    kept = [standing for standing in ranked if standing.candidate != fresh][: stage.kept]
    reference = next(standing for standing in ranked if standing.candidate == fresh)
    entrants = {
        standing.candidate.name: (standing.candidate, rates(standing, spacing)) for standing in (reference, *kept)
    }
    known = {standing.candidate.name for standing in ranked}
    added = 0
    for parent in kept:
        for near in neighbours(parent.candidate):
            if near.name not in known and added < stage.added:
                known.add(near.name)
                entrants[near.name] = (near, rates(parent, spacing))
                added += 1
    return [Arm(candidate, factor) for candidate, own in entrants.values() for factor in own]


def rates(standing: Standing, spacing: float) -> list[float]:
    """Three rates around a candidate's best, or beyond it where it is at the edge of those that were tried."""
    best, tried = standing.factor, standing.tried
    if best == tried[-1] and len(tried) > 1:
        powers = (0, 1, 2)
    elif best == tried[0] and len(tried) > 1:
        powers = (-2, -1, 0)
    else:
        powers = (-1, 0, 1)
    return [float(best * np.float64(spacing) ** power) for power in powers]
