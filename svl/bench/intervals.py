"""Simulates how often intervals hold the truth and how often verdicts are wrong: the tables of docs/statistics.md.

``python -m svl.bench.intervals`` takes about two minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from scipy import stats

from svl.results import comparison, statistics
from svl.results.comparison import Times

SEEDS = (2, 3, 4, 5, 8, 16, 64)
MEANS, MEDIANS, REPORTS = 20_000, 1_000, 2_000
"""Simulations of each cell. The Monte Carlo error of 95 % is then 0.15, 0.7 and 0.5 (one standard deviation, in %)."""


class Values(NamedTuple):
    """A distribution of a metric over seeds, with its true mean."""

    draw: Callable[[Generator, tuple[int, ...]], Float[ndarray, "seed draw"]]
    mean: float


class Pairs(NamedTuple):
    """A distribution of the logarithms of the times of several equal arms.

    Attributes:
        draw: from a generator and the numbers of arms and seeds.
        end: logarithm of the time at which the runs end, at which slower seeds are censored.
    """

    draw: Callable[[Generator, int, int], Float[ndarray, "arm seed"]]
    end: float = np.inf


def learned(share: float, spread: float = 0.0) -> Values:
    """An accuracy of 0.5 in the seeds that have not learned, of 0.98 in those that have, each with a spread."""

    def draw(generator: Generator, shape: tuple[int, ...]) -> Float[ndarray, "seed draw"]:
        level = np.where(generator.random(shape) < share, 0.98, 0.5)
        return level + spread * generator.normal(size=shape)

    return Values(draw, 0.5 + 0.48 * share)


METRICS: Mapping[str, Values] = {
    "normal": Values(lambda g, shape: g.normal(size=shape), 0.0),
    "accuracy near 0.8, Beta(8, 2)": Values(lambda g, shape: g.beta(8, 2, shape), 0.8),
    "accuracy of 97 % on 256 examples": Values(lambda g, shape: g.binomial(256, 0.97, shape) / 256, 0.97),
    "accuracy near 1, skewed, Beta(20, 1)": Values(lambda g, shape: g.beta(20, 1, shape), 20 / 21),
    "lognormal, sigma 0.5": Values(lambda g, shape: g.lognormal(0, 0.5, shape), math.exp(0.125)),
    "lognormal, sigma 1": Values(lambda g, shape: g.lognormal(0, 1, shape), math.exp(0.5)),
    "half of the seeds learn, exactly equal": learned(0.5),
    "8 of 10 seeds learn, exactly equal": learned(0.8),
    "half of the seeds learn, with spread": learned(0.5, 0.01),
    "8 of 10 seeds learn, with spread": learned(0.8, 0.01),
}

TIMES: Mapping[str, Pairs] = {
    "lognormal": Pairs(lambda g, arms, seeds: g.normal(size=(arms, seeds))),
    "exponential": Pairs(lambda g, arms, seeds: np.log(g.exponential(size=(arms, seeds)))),
    "lognormal, mostly common to a seed": Pairs(
        lambda g, arms, seeds: g.normal(size=seeds) + 0.3 * g.normal(size=(arms, seeds))
    ),
    "spread that differs by seed": Pairs(
        lambda g, arms, seeds: g.exponential(size=seeds) ** 2 * g.normal(size=(arms, seeds))
    ),
    "ties: a few measurements": Pairs(
        lambda g, arms, seeds: np.log(np.ceil(3 * g.lognormal(0, 0.5, size=(arms, seeds))))
    ),
    "early or late": Pairs(
        lambda g, arms, seeds: 5.0 * (g.random((arms, seeds)) < 0.5) + 0.01 * g.normal(size=(arms, seeds))
    ),
    "30 % censored": Pairs(lambda g, arms, seeds: g.normal(size=(arms, seeds)), 0.524),
    "70 % censored": Pairs(lambda g, arms, seeds: g.normal(size=(arms, seeds)), -0.524),
    "reached or never, else equal": Pairs(lambda g, arms, seeds: 9.0 * (g.random((arms, seeds)) < 0.5), 5.0),
}


def mean_coverage(values: Values, seeds: int, draws: int = MEANS, seed: int = 0) -> tuple[float, float]:
    """The share of the intervals of a mean that hold it, and the share of samples that have no interval."""
    mean, half = statistics.student(values.draw(np.random.default_rng(seed), (seeds, draws)))
    known = np.isfinite(half)
    return float((np.abs(mean - values.mean) <= half)[known].mean()), float(1 - known.mean())


def success_coverage(probability: float, seeds: int) -> float:
    """The probability that Wilson's interval holds the probability of success; exact."""
    held = 0.0
    for passed in range(seeds + 1):
        _, low, high = statistics.success(np.arange(seeds) < passed)
        held += stats.binom.pmf(passed, seeds, probability) * (low <= probability <= high)
    return float(held)


def median_coverage(pairs: Pairs, seeds: int, draws: int = MEDIANS, seed: int = 0) -> float:
    """The share of the intervals of a median time that hold it; the median is that of a large sample."""
    generator = np.random.default_rng(seed)
    log = pairs.draw(generator, draws, seeds)
    pool = np.exp(np.sort(pairs.draw(generator, 1001, 999).ravel()))
    truth, held = pool[pool.size // 2], 0
    for times in np.exp(log):
        frame = pd.DataFrame({"step": np.minimum(times, np.exp(pairs.end)), "reached": times <= np.exp(pairs.end)})
        _, low, high = statistics.median_time(frame, "step")
        held += bool(low <= truth <= high)
    return held / draws


def speed_up_coverage(pairs: Pairs, seeds: int, ratio: float = 3.0, draws: int = REPORTS, seed: int = 0) -> float:
    """The share of the intervals of a speed-up that hold it: of the tests that do not reject the true ratio."""
    generator, paired = np.random.default_rng(seed), comparison.is_paired(seeds, 1)
    held = 0
    for _ in range(draws):
        reference, arm = pairs.draw(generator, 2, seeds)
        both = censored(arm - math.log(ratio), pairs.end), censored(reference, pairs.end)
        held += comparison.p_value(*both, paired, math.log(ratio)) > 0.05
    return held / draws


def called_different(
    pairs: Pairs, seeds: int, ratios: Sequence[float] = (1.0,), draws: int = REPORTS, seed: int = 0
) -> Float[ndarray, "report arm"]:
    """Which arms the verdicts of simulated reports call faster or slower than their common reference.

    Args:
        ratios: how many times sooner than the reference each arm reaches the target.
    """
    generator, paired = np.random.default_rng(seed), comparison.is_paired(seeds, len(ratios))
    if not comparison.can_decide(seeds, len(ratios)):
        return np.zeros((draws, len(ratios)))
    called = []
    for _ in range(draws):
        reference, *arms = pairs.draw(generator, 1 + len(ratios), seeds)
        late = censored(reference, pairs.end)
        shifted = [arm - math.log(ratio) for arm, ratio in zip(arms, ratios, strict=True)]
        p_values = [comparison.p_value(censored(arm, pairs.end), late, paired) for arm in shifted]
        called.append(np.array(comparison.holm(p_values)) <= 0.05)
    return np.array(called, np.float64)


def censored(log: Float[ndarray, "seed"], end: float) -> Times:
    """Times of which those after the end are censored."""
    reached = log <= end
    return Times(np.where(reached, log, np.inf), np.inf if reached.all() else end)


def tables() -> str:
    """All tables, in Markdown."""
    return "\n".join(
        [
            table(
                "Intervals of means that hold the mean, in % (in parentheses: samples without an interval)",
                {name: [_with_share(*mean_coverage(values, n)) for n in SEEDS] for name, values in METRICS.items()},
            ),
            table(
                "Intervals of probabilities of success that hold it, in % (exact)",
                {f"{share:g}": [_percent(success_coverage(share, n)) for n in SEEDS] for share in (0.5, 0.8, 0.95)},
            ),
            table(
                "Intervals of median times that hold the median, in %",
                {
                    name: ["-" if n < 5 else _percent(median_coverage(TIMES[name], n)) for n in SEEDS]
                    for name in ("lognormal", "exponential", "ties: a few measurements", "30 % censored")
                },
            ),
            table(
                "Intervals of a speed-up of 3 that hold it, in %",
                {
                    name: ["-" if n < 4 else _percent(speed_up_coverage(TIMES[name], n)) for n in SEEDS]
                    for name in ("lognormal", "exponential", "lognormal, mostly common to a seed", "30 % censored")
                },
            ),
            table(
                "Equal arms that are called different, in % of reports: one arm against a reference",
                {name: [_percent(called_different(p, n).max(1).mean()) for n in SEEDS] for name, p in TIMES.items()},
            ),
            table(
                "Equal arms that are called different, in % of reports: one or more of six arms",
                {
                    name: [_percent(called_different(TIMES[name], n, [1.0] * 6).max(1).mean()) for n in SEEDS]
                    for name in ("lognormal", "lognormal, mostly common to a seed", "30 % censored")
                },
            ),
            table(
                "Arms that are faster and called so, in % (one arm / each of six equally fast arms)",
                {
                    f"{name}, {ratio:g} times": [_power(TIMES[name], n, ratio) for n in SEEDS]
                    for name in ("lognormal", "lognormal, mostly common to a seed", "30 % censored")
                    for ratio in (2.0, 4.0, 10.0)
                },
            ),
        ]
    )


def table(title: str, rows: Mapping[str, Sequence[str]]) -> str:
    """A table in Markdown with a column for each number of seeds."""
    lines = [f"| {' | '.join(cells)} |" for cells in ([name, *row] for name, row in rows.items())]
    return "\n".join([f"{title}:\n", f"| seeds | {' | '.join(map(str, SEEDS))} |", "|---|" + "---:|" * 7, *lines, ""])


def _power(pairs: Pairs, seeds: int, ratio: float) -> str:
    one, six = (called_different(pairs, seeds, [ratio] * arms, REPORTS // 4).mean() for arms in (1, 6))
    return f"{100 * one:.0f} / {100 * six:.0f}"


def _with_share(share: float, lacking: float) -> str:
    return _percent(share) + (f" ({100 * lacking:.0f})" if lacking >= 0.005 else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    print(tables())
