"""A run that adds seeds until its claims are decided, with an error that is controlled over all its looks.

The seeds come in ``LOOKS`` groups of equal size, and after each the claims are tested with intervals of ``LEVEL``
instead of 95 %: Pocock's constant for four looks, with which the chance that any of the intervals misses the truth is
5 % in all, half of it on each side. The run ends at the first look that decides it, or after the last.

Source: Pocock 1977; Jennison and Turnbull 2000, table 2.1 (C_P(4, 0.05) = 2.361).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from scipy import stats

from svl.reproduction.verdict import Tested, Verdict, together
from svl.results.statistics import LEVEL as SINGLE

LOOKS = 4
LEVEL = float(2 * stats.norm.cdf(2.361) - 1)


class Look(NamedTuple):
    """One look at the data.

    Attributes:
        groups: the number of groups of seeds.
        tested: the claims.
        verdict: on all of them.
    """

    groups: int
    tested: list[Tested]
    verdict: Verdict


def level(looks: int) -> float:
    """The level of each interval in a run with this many planned looks, 1 or ``LOOKS``."""
    return SINGLE if looks == 1 else LEVEL


def until_decided(test: Callable[[int], list[Tested]], looks: int = LOOKS) -> list[Look]:
    """Test after each group of seeds until the claims are decided together.

    Args:
        test: the claims on this many groups of seeds, with intervals of :func:`level`.
        looks: the planned number of looks.

    Returns:
        every look that was taken; the last one counts.
    """
    taken: list[Look] = []
    for groups in range(1, looks + 1):
        tested = test(groups)
        taken.append(Look(groups, tested, together(each.verdict for each in tested)))
        if taken[-1].verdict is not Verdict.UNDECIDED:
            break
    return taken
