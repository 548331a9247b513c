"""``svl advise``: shall I repeat my data? A race, a confirming run on new seeds, one recommendation."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from svl.cli.parser import Parser
from svl.errors import SettingError

if TYPE_CHECKING:
    from svl.advising.plan import Plan
    from svl.advising.question import Question

USAGE = (
    "svl advise CONFIG {--budget SAMPLES | --steps STEPS | --minutes MINUTES} [--margin FACTOR] [--runs FOLDER] "
    "[--dry-run] [--KEY VALUE ...]"
)


def main(words: Sequence[str]) -> int:
    """Answer a question; returns 0 whatever the answer is, 128 + the signal that stopped a fit.

    Args:
        words: the command line after ``svl advise``; what is no option of its own is a setting, as of ``svl fit``.

    Raises:
        SettingError: for words or a config that cannot be used.
    """
    about = (
        "Find the best way of repeating data for a config, and test it against fresh data on new seeds. All other "
        "options are settings as of svl fit, which replace the config's."
    )
    parser = Parser("advise", USAGE, about)
    parser.add_argument("config", metavar="CONFIG", help="as of svl fit --config: task, network, rates, steps, target")
    parser.add_argument(
        "--budget", metavar="SAMPLES", help="examples that all replicas of all fits may process together"
    )
    parser.add_argument("--steps", metavar="STEPS", help="the same in steps of single replicas")
    parser.add_argument("--minutes", metavar="MINUTES", help="the same in minutes on this machine, by an estimate")
    parser.add_argument(
        "--margin", default="1.1", metavar="FACTOR", help="a gain in steps that is worth it; default: 1.1"
    )
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="default: runs")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and the time it takes, and train nothing"
    )
    given, settings = parser.parse_known_args(words)
    budgets = {
        unit: getattr(given, name) for unit, name in (("samples", "budget"), ("steps", "steps"), ("minutes", "minutes"))
    }
    chosen = {unit: text for unit, text in budgets.items() if text is not None}
    if len(chosen) != 1:
        raise SettingError("advise", " and ".join(f"--{key}" for key in chosen) or "no budget", USAGE)
    if settings and not settings[0].startswith("--"):
        raise SettingError("advise", settings[0], USAGE)
    ((unit, text),) = chosen.items()
    key = "--budget" if unit == "samples" else f"--{unit}"
    amount, margin = _number(key, text), _number("--margin", given.margin, 1.0)
    from svl.advising import problem
    from svl.advising.question import Budget, Question

    question = Question(problem.read(given.config, settings), Budget(amount, unit), margin, runs=given.runs)
    plan, minutes = question.planned(is_kept=not given.dry_run)
    _print_plan(question, plan, minutes)
    if given.dry_run:
        return 0
    from svl.advising.run import answer
    from svl.reproduction.fits import Stopped

    try:
        advice, folder = answer(question, plan, ["advise", *words])
    except (Stopped, KeyboardInterrupt) as stopped:
        print("svl: stopped; give the same command to resume", file=sys.stderr)
        return stopped.status if isinstance(stopped, Stopped) else 130
    _print_advice(advice.sentence, folder, plan.confirming)
    return 0


def _number(key: str, text: str, least: float = 0.0) -> float:
    """The number of an option, such as ``2e8``: above 0, and at least ``least``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 < number < math.inf and number >= least):
        raise SettingError(key, text, f"a number of at least {least:g}" if least else "a number above 0")
    return number


def _print_plan(question: Question, plan: Plan, minutes: float) -> None:
    """How the budget is divided, on standard error: a line for each round."""
    from svl.advising.question import shares
    from svl.console import console
    from svl.results.quantity import quantity, significant

    extent, fresh = question.problem.extent, question.fresh.name
    parts = [f"  {share:4.0%}  " for share in shares(plan)]
    total = sum(plan.replicas)
    lines = [
        f"one fit: {extent.steps:,} steps of {extent.batch} examples, {quantity(extent.drawn)} samples",
        f"budget: {quantity(question.budget.amount)} {question.budget.unit}; at most {total:,} such fits, "
        f"{quantity(total * extent.drawn)} samples, about {significant(max(minutes, 0.01))} minutes here",
    ]
    for number, (stage, part) in enumerate(zip(plan.rounds, parts, strict=False)):
        candidates = plan.candidates if number == 0 else stage.kept + stage.added
        arms = f"{stage.arms} arms x {stage.seeds} seeds"
        lines.append(f"{part}round {number + 1}: {candidates} candidates and {fresh} with their rates, {arms}")
    lines.append(f"{parts[-1]}confirmation: the winner against {fresh}, 3 arms x {plan.confirming} new seeds")
    lines += [f"note: {note}" for note in question.problem.notes]
    console(to_errors=True).print("\n".join(lines), soft_wrap=True)


def _print_advice(sentence: str, folder: object, seeds: int) -> None:
    """The recommendation, what to run, and where everything is; the folder is the last line."""
    from svl.advising.advice import CONFIG, PICTURE

    print(f"{sentence}\nrun it: svl fit --config {folder}/{CONFIG}\nfigure: {folder}/{PICTURE}.png\n{folder}")
