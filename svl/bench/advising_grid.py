"""What an exhaustive grid finds, compared with the advice that ``svl advise`` has given.

    python -m svl.bench.advising_grid CONFIG ADVICE [--KEY VALUE ...]

ADVICE is the folder that ``svl advise CONFIG ... [--KEY VALUE ...]`` printed. The grid has every candidate of the first
round with all its neighbours, and the rates of the first round with those between. The best arm and the best one on
fresh data are chosen on some seeds, and compared with the winner of the advice on other seeds, which neither has seen.
The table is part of ``docs/advise.md``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from svl.advising.candidate import Candidate, Extent
from svl.advising.confirm import gain_in_time
from svl.advising.families import first_candidates, neighbours
from svl.advising.fits import Fits
from svl.advising.phased import fresh
from svl.advising.problem import RATE, read
from svl.advising.progress import Progress
from svl.advising.race import Arm, standings
from svl.results.quantity import significant

SEEDS, NEW_SEEDS = 4, 48
FIRST_SEED, FIRST_NEW_SEED = 600_000, 700_000


def grid(extent: Extent) -> list[Candidate]:
    """Fresh data, every candidate of the first round, and their neighbours, each once."""
    first = first_candidates(extent)
    every = [fresh(extent), *first, *(near for candidate in first for near in neighbours(candidate, extent))]
    return list({candidate.name: candidate for candidate in every}.values())


def refined(factors: Sequence[float]) -> list[float]:
    """Rates at ratios of at most 2: ``factors``, with those between where they are farther apart."""
    between = [math.sqrt(low * high) for low, high in pairwise(factors) if high > 2 * low]
    return sorted([*factors, *between])


def main(words: Sequence[str]) -> None:
    """Train the grid, and print a row of the table."""
    config, folder, *settings = words
    given = json.loads((Path(folder) / "advice.json").read_text(encoding="utf-8"))
    problem = read(config, settings)
    candidates = grid(problem.extent)
    arms = [Arm(candidate, factor) for candidate in candidates for factor in refined(problem.factors)]
    reference = candidates[0]
    with Progress(len(arms) * SEEDS + 3 * NEW_SEEDS) as progress:
        fits = Fits(problem, Path("runs/advise/grid") / problem.name, "runs", progress)
        progress.stage(f"grid: {len(candidates)} candidates, {len(arms)} arms x {SEEDS} seeds")
        ranked = standings(arms, fits.trials(fits.histories(arms, SEEDS, FIRST_SEED)))
        best = next(each for each in ranked if each.candidate != reference)
        own = next(each for each in ranked if each.candidate == reference)
        winner = next(row for row in given["rounds"][-1] if given["arm"].startswith(f"{row['candidate']}, rate x "))
        advised = next(candidate for candidate in candidates if candidate.name == winner["candidate"])
        factor = winner["settings"][RATE] / problem.rates[RATE]
        compared = [Arm(best.candidate, best.factor), Arm(own.candidate, own.factor), Arm(advised, factor)]
        progress.stage(f"comparison on {NEW_SEEDS} new seeds")
        trials = fits.trials(fits.histories(list({a.name: a for a in compared}.values()), NEW_SEEDS, FIRST_NEW_SEED))
    by_grid, fresh_data, by_advice = (trials[arm.name] for arm in compared)
    gains = [gain_in_time(trial, fresh_data).estimate for trial in (by_grid, by_advice)]
    share = gain_in_time(by_advice, by_grid).estimate
    cells = [f"{value:.3g} [{low:.3g}, {high:.3g}]" for value, low, high in (*gains, share)]
    names = (compared[0].name, compared[2].name)
    print(f"| {problem.name} | {len(arms)} | {names[0]} | {cells[0]} | {names[1]} | {cells[1]} | {cells[2]} |")
    print(f"fits of one replica: grid {significant(len(arms) * SEEDS)}, advice {sum(given['replicas'])}")


if __name__ == "__main__":
    main(sys.argv[1:])
