"""How often ``svl advise`` recommends repetition where there is no gain, and where there is one, by simulation.

    python -m svl.bench.advising [RACES]

Races and confirming runs are those of ``svl.advising``; only the times to the target are drawn instead of trained. The
table is part of ``docs/advise.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from svl.advising import plan as plans
from svl.advising.candidate import Candidate, Extent
from svl.advising.confirm import MARGIN, gain_in_time
from svl.advising.families import first_candidates, neighbours
from svl.advising.phased import fresh
from svl.advising.plan import Plan
from svl.advising.race import Arm, Trials, race
from svl.advising.run import compared
from svl.advising.trial import Trial

EXTENT = Extent(3000, 128)
RACES = 2000
_TYPICAL = 700.0

Noise = Callable[[np.random.Generator, int], Float[ndarray, "seed"]]


@dataclass(frozen=True)
class Scenario:
    """A law of the times to the target.

    Attributes:
        name: in the table.
        common: logarithm of the part of a time that all arms of a seed share.
        own: logarithm of the part that each arm has for itself.
        gain: of every candidate over fresh data, by which its times are divided, or that of each one by its family.
        grid: steps between two measurements.
        never: the share of seeds that never reach the target, each arm for itself.
        end: steps of a fit.
        curvature: how much the logarithm of the time grows at half or twice the best rate.
    """

    name: str
    common: Noise
    own: Noise
    gain: float | dict[str, float] = 1.0
    grid: int = 25
    never: float = 0.0
    end: float = 3000.0
    curvature: float = 0.2

    def gain_of(self, candidate: Candidate) -> float:
        """A candidate's gain over fresh data."""
        if candidate.family == "fresh":
            return 1.0
        return self.gain.get(candidate.family, 1.0) if isinstance(self.gain, dict) else self.gain

    def trials(self, rng: np.random.Generator, arms: Sequence[Arm], seeds: int) -> Trials:
        """Trials of arms on new seeds."""
        common = self.common(rng, seeds)
        found = {}
        for arm in arms:
            log = np.log(_TYPICAL / self.gain_of(arm.candidate)) + common + self.own(rng, seeds)
            log += self.curvature * np.log2(arm.factor) ** 2
            time = self.grid * np.ceil(np.exp(log) / self.grid)
            reached = (time <= self.end) & (rng.random(seeds) >= self.never)
            found[arm.name] = Trial(np.where(reached, time, self.end), reached, reached.astype(float), self.end)
        return found


def normal(deviation: float) -> Noise:
    """Normal noise of this standard deviation."""
    return lambda rng, seeds: rng.normal(0, deviation, seeds)


def bimodal(rng: np.random.Generator, seeds: int) -> Float[ndarray, "seed"]:
    """Half of the seeds take three times as long."""
    return np.log(3) * rng.integers(0, 2, seeds) + rng.normal(0, 0.1, seeds)


def exponential(rng: np.random.Generator, seeds: int) -> Float[ndarray, "seed"]:
    """Exponential times."""
    return np.log(rng.exponential(1, seeds))


NONE, SMALL = normal(0), normal(0.15)
NULLS = [
    Scenario("lognormal", NONE, normal(0.5)),
    Scenario("lognormal, mostly common to a seed", normal(0.5), SMALL),
    Scenario("equal but for the grid of measurements", normal(0.5), NONE, grid=100),
    Scenario("exponential", NONE, exponential),
    Scenario("early or late", NONE, bimodal),
    Scenario("30 % never", NONE, normal(0.5), never=0.3),
    Scenario("the run ends at the median time", NONE, normal(0.5), end=_TYPICAL),
    Scenario("mostly common, the run ends at the median time", normal(0.5), SMALL, end=_TYPICAL),
    Scenario("rates matter little", NONE, normal(0.5), curvature=0.02),
    Scenario("all candidates are slower", NONE, normal(0.5), gain=0.8),
    Scenario("all candidates gain exactly the margin: lognormal", NONE, normal(0.5), gain=MARGIN),
    Scenario("all candidates gain exactly the margin: mostly common", normal(0.5), SMALL, gain=MARGIN),
    Scenario("all candidates gain exactly the margin: early or late", NONE, bimodal, gain=MARGIN),
]
"""Laws under which no candidate gains more than the margin."""
GAINS = [
    Scenario(f"{name}, {families} gain {gain:g} times", common, own, gain=chosen)
    for name, common, own in (("lognormal", NONE, normal(0.5)), ("mostly common", normal(0.5), SMALL))
    for families, gain, chosen in (
        ("subsets", 1.25, {"subset": 1.25}),
        ("subsets", 1.5, {"subset": 1.5}),
        ("two sets", 1.5, {"two sets": 1.5}),
        ("subsets", 2.0, {"subset": 2.0}),
    )
]
"""Laws under which one family gains."""


@dataclass(frozen=True)
class Simulated:
    """The result of a scenario.

    Attributes:
        races: simulated.
        recommended: how many recommended repetition.
        found: the mean gain of the winners.
    """

    races: int
    recommended: int
    found: float

    @property
    def most(self) -> float:
        """The upper end of the 95 % interval of the share, one-sided (Clopper and Pearson 1934)."""
        if self.recommended == self.races:
            return 1.0
        return float(stats.beta.ppf(0.95, self.recommended + 1, self.races - self.recommended))

    @property
    def least(self) -> float:
        """The lower end of the 95 % interval of the share, one-sided."""
        return (
            float(stats.beta.ppf(0.05, self.recommended, self.races - self.recommended + 1))
            if self.recommended
            else 0.0
        )


def default_plan(replicas: float = 600) -> Plan:
    """The plan of a budget of so many fits, with three rates."""
    return plans.make(replicas, len(first_candidates(EXTENT)), 3, "--budget", 1)


def simulate(scenario: Scenario, races: int, plan: Plan, seed: int = 0) -> Simulated:
    """Simulate races with their confirming runs."""
    rng = np.random.default_rng(seed)
    reference, candidates = fresh(EXTENT), first_candidates(EXTENT)
    recommended, gains = 0, []
    for _ in range(races):
        raced = race(
            reference,
            candidates,
            (0.3, 1.0, 3.0),
            plan,
            lambda number, arms: scenario.trials(rng, arms, plan.rounds[number].seeds),
            lambda candidate: neighbours(candidate, EXTENT),
        )
        arms = compared(raced)
        trials = scenario.trials(rng, arms, plan.confirming)
        gains.append(scenario.gain_of(raced.winner.candidate))
        recommended += _is_recommended(trials, arms)
    return Simulated(races, recommended, float(np.mean(gains)))


def _is_recommended(trials: Trials, arms: Sequence[Arm]) -> bool:
    """The rule of ``confirm.is_recommended``, without intervals where their estimate is below the margin already."""
    winner, *others = (trials[arm.name] for arm in arms)
    if any(other.time.mean() <= MARGIN * winner.time.mean() for other in others):
        return False
    return all(gain_in_time(winner, other).is_shown for other in others)


def main(words: Sequence[str]) -> None:
    """Print the tables."""
    races, plan = int(words[0]) if words else RACES, default_plan()
    print(
        f"{races:,} races each; rounds of {[stage.seeds for stage in plan.rounds]} seeds, {plan.confirming} to confirm"
    )
    for title, scenarios in (("no gain above the margin", NULLS), ("gains", GAINS)):
        print(f"\n| {title} | repetition recommended, % | 95 % bound | gain of the winner |\n|---|---:|---:|---:|")
        for scenario in scenarios:
            result = simulate(scenario, races, plan)
            bound = f"at most {100 * result.most:.1f}" if scenario in NULLS else f"at least {100 * result.least:.1f}"
            print(
                f"| {scenario.name} | {100 * result.recommended / races:.1f} | {bound} | {result.found:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
