"""Answering a question: the race, the confirming run, the advice and its figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.advising import advice as advices
from svl.advising import confirm, figure
from svl.advising.advice import Advice, Decided
from svl.advising.families import neighbours
from svl.advising.fits import Fits
from svl.advising.plan import CONFIRMED, Plan
from svl.advising.progress import Progress
from svl.advising.question import Question, shares
from svl.advising.race import Arm, Raced, Trials, race
from svl.results import figure as pictures
from svl.results.provenance import provenance


def answer(question: Question, plan: Plan, words: Sequence[str]) -> tuple[Advice, Path]:
    """Train the fits that are not done, and write the advice.

    Args:
        plan: of the question.
        words: the command line after the program's name.

    Returns:
        the advice and its folder.

    Raises:
        SettingError: for a setting that cannot be used.
        Stopped: if a signal stopped a fit; the same question continues.
    """
    problem, first_seeds = question.problem, question.first_seeds(plan)
    with Progress(sum(plan.replicas)) as progress:
        fits = Fits(problem, question.folder, question.runs, progress)

        def measure(number: int, arms: Sequence[Arm]) -> Trials:
            stage = plan.rounds[number]
            before = sum(plan.replicas[:number])
            title = f"round {number + 1} of {len(plan.rounds)}: {len(arms)} arms x {stage.seeds} seeds"
            progress.stage(title, before)
            return fits.trials(fits.histories(arms, stage.seeds, first_seeds[number]))

        raced = race(
            question.fresh,
            question.candidates,
            problem.factors,
            plan,
            measure,
            lambda candidate: neighbours(candidate, problem.extent),
        )
        arms = compared(raced)
        title = f"confirmation: {arms[0].candidate.name} against {arms[1].candidate.name}, {plan.confirming} new seeds"
        progress.stage(title, sum(plan.replicas[:-1]))
        histories = fits.histories(arms, plan.confirming, first_seeds[-1])
    trials = fits.trials(histories)
    by, gains = _gains(question, raced, arms, trials)
    seeds = [first_seeds[-1], plan.confirming]
    advice, chosen = advices.make(problem, arms[0], arms[1:], trials, gains, by, seeds)
    rounds = advices.rows(problem, raced)
    more = {
        "budget": {"amount": question.budget.amount, "unit": question.budget.unit},
        "replicas": plan.replicas,
        "shares": [round(share, 3) for share in shares(plan)],
        "samples_of_a_fit": problem.extent.drawn,
        "target": {"metric": problem.metric, "value": problem.target},
        "first_seeds": first_seeds,
        "rounds": rounds,
        "fits": fits.commands,
        **provenance(words),
    }
    recommended = advices.config(problem, chosen, plan.confirming, advice.sentence)
    pictures.save(figure.draw(problem, rounds, advice, histories), question.folder / advices.PICTURE)
    advices.write(question.folder, advice, more, recommended)
    return advice, question.folder


def compared(raced: Raced) -> list[Arm]:
    """The winner, fresh data at their best rate, and fresh data at the winner's rate if that differs."""
    arms = [raced.winner, raced.fresh, Arm(raced.fresh.candidate, raced.winner.factor)]
    return list({arm.name: arm for arm in arms}.values())[:CONFIRMED]


def _gains(
    question: Question, raced: Raced, arms: Sequence[Arm], trials: Trials
) -> tuple[Decided, dict[str, confirm.Gain]]:
    """What is compared, and the gain over each arm on fresh data."""
    winner = trials[arms[0].name]
    if raced.has_learned:
        return "time", {arm.name: confirm.gain_in_time(winner, trials[arm.name], question.margin) for arm in arms[1:]}
    metric = question.problem.metric
    reference = next(each.trial for each in raced.rounds[-1] if each.candidate == raced.fresh.candidate)
    margin = confirm.metric_margin(metric, reference, question.difference)
    return "metric", {arm.name: confirm.gain_in_metric(winner, trials[arm.name], margin) for arm in arms[1:]}
