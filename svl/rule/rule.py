"""The rule, the naive rules beside it, and how the rule's numbers were found."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from svl.rule.problems import BATCH, EPOCHS, FRESH, SIZES, STEPS
from svl.rule.race import Times, log_cost

Features = Mapping[str, float]
Chooser = Callable[[Features], str]


@dataclass(frozen=True)
class Rule:
    """Repeat a set for some epochs if the population's gradient is hard to see at first, and use fresh data otherwise.

    Fresh data if the noise scale of the output layer's first gradient is below 2^``threshold`` examples: the
    population itself makes the output layer grow then, and a sampling bias adds nothing. Otherwise the first N =
    2^``scale`` dim^``power`` examples for ``epochs`` epochs, and fresh data after them.

    Attributes:
        threshold: of the feature ``noise`` (:func:`svl.rule.features.features`).
        scale: log2 of the size for one dimension.
        power: of the dimension.
        epochs: of the set.
    """

    threshold: float
    scale: float
    power: float
    epochs: int

    def __call__(self, features: Features) -> str:
        if features["noise"] < self.threshold:
            return FRESH
        return repeat(2 ** (self.scale + self.power * features["dim"]), self.epochs)


def repeat(size: float, epochs: int) -> str:
    """The choice whose size is nearest, on a logarithmic scale."""
    nearest = min(SIZES, key=lambda known: abs(math.log(known / size)))
    return f"{nearest} x {epochs}"


NAIVE: dict[str, Chooser] = {
    "always fresh": lambda features: FRESH,
    "N = 10 d^2, 32 epochs": lambda features: repeat(10 * 4 ** features["dim"], 32),
    "1/320 of the budget, 32 epochs": lambda features: repeat(STEPS * BATCH / 320, 32),
}
"""Rules that need no probe. The last has the size of the first phase in Liu et al. 2026, figure 19."""


def fit(problems: Mapping[str, tuple[Features, Times]]) -> Rule:
    """The numbers with the least mean log-cost on some problems; of equals, those that use fresh data least often.

    Args:
        problems: features and times of each problem by name.
    """
    noises = sorted({round(features["noise"], 3) for features, _ in problems.values()})
    between = [(low + high) / 2 for low, high in itertools.pairwise(noises)]
    thresholds = [0.0, *between, math.inf]
    grid = itertools.product(thresholds, np.arange(0, 11.5, 0.5).tolist(), (0.0, 1.0, 2.0), EPOCHS)
    rules = [Rule(*numbers) for numbers in grid]
    costs = {name: {choice: log_cost(times, choice) for choice in times} for name, (_, times) in problems.items()}

    def cost(rule: Rule) -> float:
        return float(np.mean([costs[name][rule(features)] for name, (features, _) in problems.items()]))

    return min(rules, key=lambda rule: (round(cost(rule), 6), rule.threshold, rule.power))
