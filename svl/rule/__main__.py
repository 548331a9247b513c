"""``python -m svl.rule fit FOLDER`` fits a rule, ``python -m svl.rule test FOLDER`` tests the frozen one.

Features and times of each problem are kept in the folder as JSON, and are not measured again. There are two rounds:
``--round 2`` fits on all problems of the first, whose folders it reads too, and on new ones, and tests on others.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from svl.rule.features import features
from svl.rule.frozen import RULES
from svl.rule.problems import FRESH, PROBLEMS, Problem
from svl.rule.race import Times, log_cost, race, tuned
from svl.rule.rule import NAIVE, Chooser, Features, fit


def main() -> None:
    """Measure what is not measured yet, and print a rule, or the table of its test."""
    parser = argparse.ArgumentParser(prog="python -m svl.rule", description=__doc__)
    parser.add_argument("what", choices=("fit", "test"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--round", type=int, choices=(1, 2), default=1)
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="folders of the first round, to fit on too")
    given = parser.parse_args()
    tests = given.what == "test"
    chosen = [problem for problem in PROBLEMS if (problem.tests, problem.round) == (tests, given.round)]
    measured = dict(_measured(given.folder, chosen))
    for folder in given.earlier:
        known = [problem for problem in PROBLEMS if (folder / f"{problem.slug}.json").exists()]
        measured |= dict(_measured(folder, known))
    rule = RULES[given.round] if tests else fit(measured, ("noise",) if given.round == 1 else ("noise", "growth"))
    print(rule)
    rules = {"rule": rule, **NAIVE}
    print(table(measured, rules))
    for name, chooser in rules.items():
        value, low, high = over_fresh(measured, chooser)
        print(f"{name}: {value:.2f} [{low:.2f}, {high:.2f}] times as long as fresh data")


def over_fresh(measured: dict[str, tuple[Features, Times]], rule: Chooser, resamples: int = 4000) -> list[float]:
    """Geometric mean over problems of a rule's mean time over that of fresh data, and its 95 % interval.

    The interval is that of the percentile bootstrap over the seeds of each problem, which both choices share.
    """
    generator = np.random.default_rng(0)
    logs = np.zeros(1 + resamples)
    for seen, times in measured.values():
        by_choice = tuned(times)
        fresh = by_choice[FRESH][1]
        own = by_choice.get(rule(seen), by_choice[FRESH])[1]
        drawn = generator.integers(len(fresh), size=(resamples, len(fresh)))
        means = [np.append(each.mean(), each[drawn].mean(1)) for each in (own, fresh)]
        logs += np.log(means[0] / means[1]) / len(measured)
    return np.exp([logs[0], *np.quantile(logs[1:], [0.025, 0.975])]).tolist()


def table(measured: dict[str, tuple[Features, Times]], rules: dict[str, Chooser]) -> str:
    """A table in Markdown: each rule's choice, and its time over that of the raced choice.

    Args:
        measured: features and times of each problem by name.
        rules: by name.
    """
    rows = [["problem", "noise", "growth", "raced", "gain over fresh", *rules], ["---"] * (5 + len(rules))]
    ratios: dict[str, list[float]] = {name: [] for name in rules}
    for problem, (seen, times) in measured.items():
        by_choice = tuned(times)
        raced = min(by_choice, key=lambda name: by_choice[name][0])
        cells = []
        for name, rule in rules.items():
            ratios[name].append(log_cost(times, rule(seen)))
            cells.append(f"{rule(seen)}: {2 ** ratios[name][-1]:.2f}")
        gain = by_choice[FRESH][1].mean() / by_choice[raced][1].mean()
        rows.append([problem, f"{seen['noise']:.1f}", f"{seen['growth']:.2f}", raced, f"{gain:.2f}", *cells])
    rows.append(["geometric mean", "", "", "", "", *(f"{2 ** np.mean(each):.2f}" for each in ratios.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measured(folder: Path, problems: Iterable[Problem]) -> Iterator[tuple[str, tuple[Features, Times]]]:
    """Features and times of some problems."""
    folder.mkdir(parents=True, exist_ok=True)
    for problem in problems:
        path = folder / f"{problem.slug}.json"
        if not path.exists():
            made = {"features": features(problem), "times": race(problem, str(folder / "runs"))}
            path.write_text(json.dumps(made), encoding="utf-8")
        kept = json.loads(path.read_text(encoding="utf-8"))
        yield problem.name, (kept["features"] | {"budget": math.log2(problem.budget)}, kept["times"])


if __name__ == "__main__":
    main()
