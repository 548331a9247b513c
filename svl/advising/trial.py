"""What the race and the confirmation know of an arm: when each seed has learned, and how well it ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from svl.reproduction.outcome import Outcome, restricted
from svl.results import statistics


class Trial(NamedTuple):
    """An arm on some seeds, in the same order for all arms.

    Attributes:
        time: steps to the target; the steps of the fit where it was not reached.
        reached: whether it was.
        final: the target's metric at the end, of which higher is better: losses have a minus sign. A replica that
            diverged has the worst value that any has had.
        end: steps of the fit.
    """

    time: Float[ndarray, "seed"]
    reached: Bool[ndarray, "seed"]
    final: Float[ndarray, "seed"]
    end: float

    @property
    def log_time(self) -> Float[ndarray, "seed"]:
        """Logarithm of the times, those of seeds that did not reach the target being the end: restricted times."""
        return np.log(np.maximum(self.time, 1.0))

    @property
    def score(self) -> tuple[float, float]:
        """Lower is better: the mean logarithm of the times, then, where times are equal, the metric at the end."""
        return round(float(self.log_time.mean()), 9), -float(self.final.mean())


def trials(histories: dict[str, pd.DataFrame], metric: str, target: float) -> dict[str, Trial]:
    """The trials of arms from their histories, seeds in increasing order."""
    outcome = Outcome(metric, target, histories)
    higher = statistics.is_better_above(metric)
    end = float(max(rows["step"].max() for rows in histories.values()))
    finals = outcome.scores(list(histories), metric, higher, at=np.inf, unit="step").sort_index()
    found = {}
    for name in histories:
        times = outcome.times(name).sort_index()
        reached = (times["reached"] & (times["step"] <= end)).to_numpy(bool)
        time = restricted(times, "step", end).to_numpy(np.float64)
        found[name] = Trial(time, reached, finals[name].to_numpy(np.float64), end)
    return found
