"""``python -m svl.rule fit FOLDER`` fits the rule, ``python -m svl.rule test FOLDER`` tests the frozen one.

Features and times of each problem are kept in the folder as JSON, and are not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from svl.rule.features import features
from svl.rule.frozen import RULE
from svl.rule.problems import FRESH, PROBLEMS
from svl.rule.race import Times, log_cost, race, tuned
from svl.rule.rule import NAIVE, Chooser, Features, fit


def main() -> None:
    """Measure what is not measured yet, and print a rule, or the table of its test."""
    parser = argparse.ArgumentParser(prog="python -m svl.rule", description=__doc__)
    parser.add_argument("what", choices=("fit", "test"))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    measured = dict(_measured(given.folder, given.what == "test"))
    rule = RULE if given.what == "test" else fit(measured)
    print(rule)
    print(table(measured, {"rule": rule, **NAIVE}))


def table(measured: dict[str, tuple[Features, Times]], rules: dict[str, Chooser]) -> str:
    """A table in Markdown: each rule's choice, and its time over that of the raced choice.

    Args:
        measured: features and times of each problem by name.
        rules: by name.
    """
    rows = [["problem", "noise", "raced", "gain over fresh", *rules], ["---"] * (4 + len(rules))]
    ratios: dict[str, list[float]] = {name: [] for name in rules}
    for problem, (seen, times) in measured.items():
        by_choice = tuned(times)
        raced = min(by_choice, key=lambda name: by_choice[name][0])
        cells = []
        for name, rule in rules.items():
            ratios[name].append(log_cost(times, rule(seen)))
            cells.append(f"{rule(seen)}: {2 ** ratios[name][-1]:.2f}")
        gain = by_choice[FRESH][1].mean() / by_choice[raced][1].mean()
        rows.append([problem, f"{seen['noise']:.1f}", raced, f"{gain:.2f}", *cells])
    rows.append(["geometric mean", "", "", "", *(f"{2 ** np.mean(each):.2f}" for each in ratios.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measured(folder: Path, tests: bool) -> Iterator[tuple[str, tuple[Features, Times]]]:
    """Features and times of the problems of one kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for problem in PROBLEMS:
        if problem.tests != tests:
            continue
        path = folder / f"{problem.name}.json"
        if not path.exists():
            made = {"features": features(problem), "times": race(problem, str(folder / "runs"))}
            path.write_text(json.dumps(made), encoding="utf-8")
        kept = json.loads(path.read_text(encoding="utf-8"))
        yield problem.name, (kept["features"], kept["times"])


if __name__ == "__main__":
    main()
