"""The curve of an arm: the mean of a metric over seeds at each measurement, with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from svl.results import statistics


class Curve(NamedTuple):
    """A metric of an arm at its measurements, or at evenly spaced ones of them.

    Attributes:
        step: at which the metric was measured.
        samples: the median over seeds of the examples processed by then.
        mean: over the seeds that have not diverged.
        low, high: the 95 % interval of the mean (``statistics.band``); NaN where there is none.
        seeds: the metric of each seed, NaN from the step at which it diverged.
    """

    step: Int[ndarray, "point"]
    samples: Float[ndarray, "point"]
    mean: Float[ndarray, "point"]
    low: Float[ndarray, "point"]
    high: Float[ndarray, "point"]
    seeds: Float[ndarray, "point seed"]

    @classmethod
    def of(cls, rows: pd.DataFrame, metric: str, most: int) -> Curve:
        """The curve of an arm.

        Args:
            rows: the arm's part of the history.
            metric: a column of it.
            most: the most points; of more measurements every second, third, ... is taken, and the last one.
        """
        table = rows.pivot(index="step", columns="seed", values=metric).dropna(how="all")
        table = table.iloc[thinned_places(len(table), most)]
        samples = rows[rows[metric].notna()].groupby("step")["samples"].median().loc[table.index]
        values = table.to_numpy(np.float64)
        low, high = statistics.band(values.T, statistics.range_of(metric))
        mean = table.mean(axis=1).to_numpy(np.float64)
        return cls(table.index.to_numpy(np.int64), samples.to_numpy(np.float64), mean, low, high, values)


def thinned_places(count: int, most: int) -> Int[ndarray, "place"]:
    """The places of every n-th of so many measurements and of the last one, for the smallest n that is enough."""
    places = np.arange(0, count, stride(count, most))
    return places if not count or places[-1] == count - 1 else np.append(places, count - 1)


def stride(count: int, most: int) -> int:
    """1 if all measurements are taken, 2 if every second one is."""
    return max(1, math.ceil(count / most))
