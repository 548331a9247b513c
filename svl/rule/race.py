"""Every choice at every rate on one problem: the times to the target with which rules are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

import svl
from svl.results import statistics
from svl.rule.problems import FRESH, Problem, arms

TUNING, TESTING = 6, 8
"""Seeds on which each choice gets its rate, and the best choice is chosen; and seeds on which all are measured."""

Times = dict[str, dict[str, list[float]]]


def race(problem: Problem, runs: str) -> Times:
    """Steps to the target of each seed by choice and rate, those that never reach it with the end of the run.

    Args:
        problem: what is learned.
        runs: the folder of run directories.
    """
    run = svl.fit(problem.config(arms(problem), TUNING + TESTING), runs=runs)
    metric, value = problem.target
    history = run.history
    times: Times = {}
    for arm, rows in history.groupby("arm", sort=False):
        choice, _, rate = str(arm).partition(" @ ")
        found = statistics.time_to_target(rows, metric, value)
        gone = found.index.isin(rows.loc[statistics.diverged(rows), "seed"])
        steps = found["step"].where(found["reached"] & ~gone, problem.steps).clip(lower=1)
        times.setdefault(choice, {})[rate] = steps.sort_index().astype(float).tolist()
    return times


def tuned(times: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, Float[ndarray, "seed"]]]:
    """Each choice at its best rate: its mean on the tuning seeds, and its times on the others."""
    best = {}
    for choice, by_rate in times.items():
        table = np.array(list(by_rate.values()))
        means = table[:, :TUNING].mean(1)
        best[choice] = (float(means.min()), table[means.argmin(), TUNING:])
    return best


def log_cost(times: Mapping[str, Mapping[str, Any]], choice: str) -> float:
    """log2 of the mean time of a choice, over that of the choice that was best on the tuning seeds.

    A set that is as large as the stored data, which is not among the measured choices, is all of them.
    """
    by_choice = tuned(times)
    raced = min(by_choice, key=lambda name: by_choice[name][0])
    chosen = by_choice.get(choice, by_choice[FRESH])
    return float(np.log2(chosen[1].mean() / by_choice[raced][1].mean()))
