"""The confirming run: one test, fixed beforehand, of whether the winner beats fresh data by more than a margin.

The gain is the ratio of the restricted mean steps to the target, fresh data over the winner, paired by seed. Where few
seeds reached the target in the race, it is the difference of the metric at the end of the fits instead; that is decided
by the race, before the confirming run.

Repetition is recommended if, against fresh data at their own best rate and also at the winner's rate,

1. the lower end of the gain's one-sided 95 % interval is above the margin, and
2. an exact signed-rank test, paired by seed, rejects at 5 % that the times are alike.

The first says that the gain is worth it. The second holds its level for arms that are alike whatever the law of their
times, with ties and with seeds that never reach the target. Each comparison has to succeed in both, so that the
probability of a wrong recommendation is at most that of any one of them (an intersection-union test: Berger 1982).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from svl.advising.trial import Trial
from svl.results import bootstrap, comparison
from svl.results.statistics import Estimate

LEVEL = 0.95
"""Of the one-sided intervals."""
TWO_SIDED = 2 * LEVEL - 1
"""The level of a two-sided interval whose ends are both one-sided bounds."""
MARGIN = 1.1
"""A gain in time that is worth it: fresh data take this many times as many steps."""
DIFFERENCE = 0.02
"""The same for a difference in accuracy; of any other metric, this share of its size with fresh data."""


class Gain(NamedTuple):
    """The gain of an arm over fresh data.

    Attributes:
        estimate: the ratio of times, or the difference of the metric; each end of its interval is a bound of 95 %.
        p: of the exact test that the arms are alike, against the alternative that the arm is better.
        margin: above which a gain is worth it.
    """

    estimate: Estimate
    p: float
    margin: float

    @property
    def is_shown(self) -> bool:
        """Whether the gain is above the margin by both criteria."""
        return bool(self.estimate.low > self.margin and self.p <= 1 - LEVEL)

    @property
    def is_excluded(self) -> bool:
        """Whether the whole interval is below the margin."""
        return bool(self.estimate.high < self.margin)


def gain_in_time(arm: Trial, fresh: Trial, margin: float = MARGIN) -> Gain:
    """How many times as many steps fresh data take to the target.

    Source: as of :meth:`svl.reproduction.outcome.Outcome.gain`.

    Args:
        arm, fresh: on the same seeds, in the same order.
        margin: above which a gain is worth it.
    """
    log = float(np.log(fresh.time.mean() / arm.time.mean()))
    error = bootstrap.mean(fresh.time / fresh.time.mean() - arm.time / arm.time.mean(), TWO_SIDED)
    estimate = Estimate(*np.exp([log, log + error.low, log + error.high]).tolist())
    return Gain(estimate, _p_value(fresh.log_time - arm.log_time), margin)


def gain_in_metric(arm: Trial, fresh: Trial, margin: float) -> Gain:
    """By how much the metric at the end is better than with fresh data; see :func:`gain_in_time`."""
    difference = arm.final - fresh.final
    return Gain(bootstrap.mean(difference, TWO_SIDED), _p_value(difference), margin)


def decisive(gains: Mapping[str, Gain]) -> str:
    """The name of the comparison that decides: that with the smallest lower bound, or the smallest gain without one."""
    return min(
        gains, key=lambda name: (np.nan_to_num(gains[name].estimate.low, nan=-np.inf), gains[name].estimate.value)
    )


def is_recommended(gains: Mapping[str, Gain]) -> bool:
    """Whether the gain is shown in every comparison."""
    return all(gain.is_shown for gain in gains.values())


def metric_margin(metric: str, fresh: Trial, share: float = DIFFERENCE) -> float:
    """The margin of a difference of the metric.

    Args:
        metric: its name.
        fresh: fresh data in the race.
        share: of an accuracy as it is, of any other metric a share of its size.
    """
    return share if metric.endswith("accuracy") else share * float(np.abs(fresh.final).mean())


def _p_value(differences: np.ndarray) -> float:
    # Values that are equal except for rounding are ties.
    return comparison.signed_rank_tails(np.round(differences, 9))[0]
