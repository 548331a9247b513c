"""The advice: a recommendation in a sentence, with the numbers that it rests on, as ``advice.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from svl.advising.confirm import LEVEL, Gain, decisive, is_recommended
from svl.advising.problem import RATE, Problem, rate
from svl.advising.race import Arm, Raced, Standing
from svl.advising.trial import Trial
from svl.results.atomic import replacing
from svl.results.quantity import setting, significant

RESULT, CONFIG, PICTURE = "advice.json", "recommended.yaml", "advice"

Decided = Literal["time", "metric"]


@dataclass(frozen=True)
class Advice:
    """The recommendation.

    Attributes:
        recommendation: ``repeat`` or ``fresh``.
        sentence: it in words.
        arm: the winner's name; ``fresh`` the names of the arms with which it was compared.
        settings: those that differ from the config, of the recommended arm.
        by: what was compared: ``time`` to the target or the ``metric`` at the end.
        gain: over the fresh arm that decides, with ``low`` and ``high``, each a bound of 95 %, and the exact p-value.
        margin: above which a gain is worth it.
        gains: over each fresh arm.
        reached: how many of the seeds reached the target, by arm.
        seeds: first seed and number of the confirming run.
    """

    recommendation: Literal["repeat", "fresh"]
    sentence: str
    arm: str
    fresh: list[str]
    settings: dict[str, Any]
    by: Decided
    gain: dict[str, float | None]
    margin: float
    gains: dict[str, dict[str, float | None]]
    reached: dict[str, int]
    seeds: list[int]


def make(
    problem: Problem,
    winner: Arm,
    references: Sequence[Arm],
    trials: Mapping[str, Trial],
    gains: Mapping[str, Gain],
    by: Decided,
    seeds: Sequence[int],
) -> tuple[Advice, Arm]:
    """The advice, and the arm that it recommends.

    Args:
        winner: the arm that repeats data.
        references: those on fresh data, their own best rate first.
        trials: of the confirming run, by the arms' names.
        gains: of the winner over each reference, by its name.
        by: what was compared.
        seeds: the first seed of the confirming run, and their number.
    """
    name = decisive(gains)
    chosen = winner if is_recommended(gains) else references[0]
    is_winner = chosen is winner
    says = chosen.candidate.says
    begin = f"{'Repeat' if is_winner else 'Nothing to gain'}: {says}, {described(problem, chosen)}"
    found = _found(problem, gains[name], winner, by, seeds[1], is_winner, len(references) > 1)
    advice = Advice(
        "repeat" if is_winner else "fresh",
        f"{begin}; {found}{_never(trials, chosen)}.",
        winner.name,
        [arm.name for arm in references],
        problem.arm(chosen.candidate, chosen.factor),
        by,
        numbers(gains[name]),
        gains[name].margin,
        {reference: numbers(gain) for reference, gain in gains.items()},
        {arm: int(trial.reached.sum()) for arm, trial in trials.items()},
        list(seeds),
    )
    return advice, chosen


def described(problem: Problem, arm: Arm) -> str:
    """``at lr 3``, or the factor of all rates where there are several."""
    if len(problem.rates) == 1:
        return f"at lr {setting(rate(problem.rates[RATE], arm.factor))}"
    return f"with all rates times {significant(arm.factor)}"


def _found(problem: Problem, gain: Gain, winner: Arm, by: Decided, seeds: int, is_shown: bool, both: bool) -> str:
    """What the confirming run found, in words."""
    value, low, high = map(_shown, gain.estimate)
    goal, name = f"{problem.metric} {significant(problem.target)}", winner.candidate.name
    than = "all data" if problem.extent.stored else "fresh data"
    if is_shown:
        than += " at their best rate and at the same rate" if both else " at their best rate"
        sure = f"at least {low} with {LEVEL:.0%} confidence ({seeds} new seeds)"
        if by == "time":
            return f"{than} take {value} times as many steps to {goal}, {sure}"
        return f"{problem.metric} at the end is better than with {than} by {value}, {sure}"
    verdict = _verdict(gain)
    if by == "time":
        compared = f"{than} take {value} [{low}, {high}] times as many steps to {goal} as the best repetition ({name})"
        return f"{compared}: {verdict} ({seeds} new seeds)"
    compared = (
        f"the best repetition ({name}) changes {problem.metric} at the end for the better by {value} [{low}, {high}]"
    )
    return f"{compared}: {verdict} ({seeds} new seeds; too few reach {goal} to compare times)"


def _verdict(gain: Gain) -> str:
    """Why a gain is not recommended."""
    margin = _shown(gain.margin)
    if gain.is_excluded:
        return f"a gain of {margin} is excluded"
    if gain.estimate.low > gain.margin:
        return f"an exact test does not exclude that both are alike (p = {gain.p:.2g})"
    return f"a gain above {margin} is not shown"


def _never(trials: Mapping[str, Trial], chosen: Arm) -> str:
    """Seeds of the recommended arm that never reach the target, where others do."""
    never = int((~trials[chosen.name].reached).sum())
    total = len(trials[chosen.name].reached)
    return f"; {never} of {total} seeds never reach the target" if 0 < never < total else ""


def numbers(gain: Gain) -> dict[str, float | None]:
    """A gain for JSON, in which what is not known is null."""
    values = {**gain.estimate._asdict(), "p": gain.p}
    return {key: float(value) if math.isfinite(value) else None for key, value in values.items()}


def _shown(number: float) -> str:
    return "unknown" if math.isnan(number) else significant(number)


def standing_row(problem: Problem, standing: Standing, reference: Trial) -> dict[str, Any]:
    """A candidate after a round, for JSON.

    Args:
        reference: fresh data in the same round.
    """
    return {
        "candidate": standing.candidate.name,
        "family": standing.candidate.family,
        "settings": problem.arm(standing.candidate, standing.factor),
        "gain": float(reference.time.mean() / standing.trial.time.mean()),
        "reached": int(standing.trial.reached.sum()),
        "seeds": len(standing.trial.reached),
        "final": float(standing.trial.final.mean()),
        "tried": list(standing.tried),
    }


def rows(problem: Problem, raced: Raced) -> list[list[dict[str, Any]]]:
    """The standings of all rounds."""
    shown = []
    for standings in raced.rounds:
        reference = next(each.trial for each in standings if each.candidate == raced.fresh.candidate)
        shown.append([standing_row(problem, standing, reference) for standing in standings])
    return shown


def config(problem: Problem, chosen: Arm, seeds: int, sentence: str) -> str:
    """The recommended config, which ``svl fit --config`` runs: the given one with the recommended settings."""
    strategy = problem.settings(chosen.candidate.strategy, chosen.candidate.fixed)
    settings = {**strategy, "experiment": f"{problem.name}_advised"}
    for key, value in problem.arm(chosen.candidate, chosen.factor).items():
        _set(settings, key, value)
    settings |= problem.given
    settings["replicas"] = {"seeds": seeds, "first_seed": problem.first_seed}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return f"# {sentence}\n{text}"


def _set(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted name in nested settings, in which objects have their arguments under ``init_args``."""
    place, parts = settings, key.split(".")
    for part in parts[:-1]:
        place[part] = dict(place[part])
        place = place[part]
        if "init_args" in place:
            place["init_args"] = dict(place["init_args"])
            place = place["init_args"]
    place[parts[-1]] = value


def write(folder: Path, advice: Advice, more: Mapping[str, Any], recommended: str) -> None:
    """Write the advice and the config, each completely or not at all."""
    with replacing(folder / CONFIG) as path:
        path.write_text(recommended, encoding="utf-8")
    with replacing(folder / RESULT) as path:
        text = json.dumps({**asdict(advice), **more}, indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
