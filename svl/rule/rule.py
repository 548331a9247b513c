"""The rule, the naive rules beside it, and how the rule's numbers were found."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from svl.rule.problems import EPOCHS, FRESH, SIZES
from svl.rule.race import Times, log_cost

Features = Mapping[str, float]
Chooser = Callable[[Features], str]


@dataclass(frozen=True)
class Rule:
    """Repeat a set for some epochs if a feature of the fit is large enough, and use fresh data otherwise.

    By the feature ``noise``: fresh data if the noise scale of the output layer's first gradient is below
    2^``threshold`` examples. The population itself makes the output layer grow then, and a sampling bias adds nothing.
    By the feature ``growth``: fresh data unless a small set makes the output layer grow faster, relative to the input
    layer, by more than the threshold. Otherwise the first N = 2^``scale`` dim^``power`` examples for ``epochs`` epochs,
    and fresh data after them.

    Attributes:
        threshold: of the feature.
        scale: log2 of the size for one dimension.
        power: of the dimension.
        epochs: of the set.
        feature: ``noise`` or ``growth`` (:func:`svl.rule.features.features`).
    """

    threshold: float
    scale: float
    power: float
    epochs: int
    feature: str = "noise"

    def __call__(self, features: Features) -> str:
        if features[self.feature] < self.threshold:
            return FRESH
        return repeat(2 ** (self.scale + self.power * features["dim"]), self.epochs)


def repeat(size: float, epochs: int) -> str:
    """The choice whose size is nearest, on a logarithmic scale."""
    nearest = min(SIZES, key=lambda known: abs(math.log(known / size)))
    return f"{nearest} x {epochs}"


_CHOICES = (FRESH, *(f"{size} x {epochs}" for size in SIZES for epochs in EPOCHS))

NAIVE: dict[str, Chooser] = {
    "always fresh": lambda features: FRESH,
    "N = 10 d^2, 32 epochs": lambda features: repeat(10 * 4 ** features["dim"], 32),
    "1/320 of the budget, 32 epochs": lambda features: repeat(2 ** features["budget"] / 320, 32),
}
"""Rules that need no probe. The last has the size of the first phase in Liu et al. 2026, figure 19."""


def fit(problems: Mapping[str, tuple[Features, Times]], by: Sequence[str] = ("noise",)) -> Rule:
    """The numbers with the least mean log-cost on some problems; of equals, those that use fresh data least often.

    Args:
        problems: features and times of each problem by name.
        by: the features that the rule may go by, of which it has one.
    """
    costs = {name: {choice: log_cost(times, choice) for choice in _CHOICES} for name, (_, times) in problems.items()}

    def cost(rule: Rule) -> float:
        return float(np.mean([costs[name][rule(features)] for name, (features, _) in problems.items()]))

    def rules(feature: str) -> Iterator[Rule]:
        seen = sorted({round(features[feature], 3) for features, _ in problems.values()})
        thresholds = [-math.inf, *((low + high) / 2 for low, high in itertools.pairwise(seen)), math.inf]
        for numbers in itertools.product(thresholds, np.arange(0, 11.5, 0.5).tolist(), (0.0, 1.0, 2.0), EPOCHS):
            yield Rule(*numbers, feature)

    every = itertools.chain.from_iterable(map(rules, by))
    return min(every, key=lambda rule: (round(cost(rule), 6), rule.threshold, rule.power))
