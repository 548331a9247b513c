"""A question to ``svl advise``: a problem with a budget, its plan, and the folder in which both are kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from svl.advising import plan as plans
from svl.advising.candidate import Candidate
from svl.advising.confirm import DIFFERENCE, MARGIN
from svl.advising.families import first_candidates
from svl.advising.phased import fresh
from svl.advising.plan import Plan
from svl.advising.problem import Problem
from svl.advising.race import Arm
from svl.cli.fit import estimated
from svl.config_file import dump_yaml
from svl.errors import SettingError
from svl.reproduction.fit import Fit
from svl.results.atomic import replacing

FOLDER = "advise"
PLAN = "plan.json"
FIRST_SEED = 400_000
"""Of the race, after the config's own first seed; each round has the next seeds, and so has the confirming run."""
_USED = 0.8
"""The share of a time that is planned: the rest is for start-up, figures and estimates that are too low."""
_SEEDS = 8
"""Of each arm of the fit whose time is estimated."""


@dataclass(frozen=True)
class Budget:
    """What may be spent on the answer, over all replicas of all fits.

    Attributes:
        amount: how much.
        unit: ``samples`` that are processed, ``steps`` that replicas take, or ``minutes`` on this machine.
    """

    amount: float
    unit: str

    @property
    def key(self) -> str:
        """The option that gives it."""
        return "--budget" if self.unit == "samples" else f"--{self.unit}"


@dataclass(frozen=True)
class Question:
    """A problem with a budget and margins.

    Attributes:
        problem: what is asked.
        budget: what may be spent.
        margin: the least gain in time that is worth it.
        difference: the least gain in the metric, where times cannot be compared.
        runs: the folder of all run directories.
    """

    problem: Problem
    budget: Budget
    margin: float = MARGIN
    difference: float = DIFFERENCE
    runs: str = "runs"
    fresh: Candidate = field(init=False)
    candidates: list[Candidate] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fresh", fresh(self.problem.extent))
        object.__setattr__(self, "candidates", first_candidates(self.problem.extent))
        if not self.candidates:
            extent = self.problem.extent
            allowed = (
                "steps of which a part can be repeated: sets of a quarter of the data and less have 8 examples or more"
            )
            raise SettingError("trainer.max_steps", extent.steps, allowed)

    @property
    def folder(self) -> Path:
        """Where the plan, the figure and the advice are, named by the experiment and a hash of all that is asked."""
        asked = asdict(self.problem), asdict(self.budget), self.margin, self.difference
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:8]
        name = re.sub(r"[^\w.-]+", "_", self.problem.name)
        return Path(self.runs) / FOLDER / f"{name}-{digest}"

    def planned(self, is_kept: bool) -> tuple[Plan, float]:
        """The plan, and the expected minutes of all fits on this machine.

        A plan that was made once is kept, so that an interrupted question continues with the same fits, whatever the
        estimate of the time would be now.

        Args:
            is_kept: whether to keep a new plan.

        Raises:
            SettingError: for a budget that is too small.
        """
        kept = self.folder / PLAN
        try:
            content = json.loads(kept.read_text(encoding="utf-8"))
            replicas, seconds = float(content["replicas"]), float(content["seconds_for_each"])
        except (OSError, ValueError, KeyError, TypeError):
            seconds = self._seconds()
            replicas = self._replicas(seconds)
        plan = self._plan(replicas, seconds)
        if is_kept:
            with replacing(kept) as path:
                content = {"budget": asdict(self.budget), "replicas": replicas, "seconds_for_each": seconds}
                path.write_text(json.dumps(content | {"plan": asdict(plan)}, indent=1) + "\n", encoding="utf-8")
        return plan, sum(plan.replicas) * seconds / 60

    def first_seeds(self, plan: Plan) -> list[int]:
        """The first seed of each round, and last that of the confirming run."""
        seeds = [self.problem.first_seed + FIRST_SEED]
        for stage in plan.rounds:
            seeds.append(seeds[-1] + stage.seeds)
        return seeds

    def _replicas(self, seconds: float) -> float:
        """The budget in fits of one replica."""
        return self.budget.amount / self._unit(seconds)

    def _unit(self, seconds: float) -> float:
        """What one replica's fit takes, in the budget's unit."""
        extent = self.problem.extent
        return {"samples": extent.drawn, "steps": extent.steps, "minutes": seconds / 60 / _USED}[self.budget.unit]

    def _plan(self, replicas: float, seconds: float) -> Plan:
        rates = len(self.problem.factors)
        return plans.make(replicas, len(self.candidates), rates, self.budget.key, self._unit(seconds))

    def _seconds(self) -> float:
        """Seconds of one replica's fit in a large stack, estimated from a few steps; this also checks the config."""
        arms = [Arm(candidate, 1.0) for candidate in (self.fresh, *self.candidates)]
        own = [arm for arm in arms if arm.candidate.strategy == self.fresh.strategy]
        config = dump_yaml(self.problem.settings(self.fresh.strategy, self.fresh.fixed))
        settings = {arm.name: self.problem.arm(arm.candidate, arm.factor) for arm in own}
        expected = estimated(Fit("", config, {}, settings, _SEEDS, 0).words)
        return (expected.training + expected.measuring) / (len(own) * _SEEDS)


def shares(plan: Plan) -> Sequence[float]:
    """The share of each round, and last of the confirming run, in what the plan uses."""
    total = sum(plan.replicas)
    return [part / total for part in plan.replicas]
