"""Verdicts and times in words: what an interval leaves open, where tests disagree, how many seeds would be enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from svl.results.comparison import FASTER, SLOWER, TOO_FEW, UNDECIDED, can_decide
from svl.results.quantity import quantity, significant
from svl.results.statistics import LEVEL

MOST_SEEDS = 1000
_ALL = {
    FASTER: "Yes, in all {n} comparisons.",
    SLOWER: "No, it is slower in all {n} comparisons.",
    UNDECIDED: "Undecided in all {n} comparisons.",
    TOO_FEW: "There are too few seeds to decide any of the {n} comparisons.",
}


def answer(summary: Mapping[str, Any]) -> str:
    """The answer to the question of a run in a sentence; empty where nothing is compared.

    Args:
        summary: of the run, as in ``summary.json``.
    """
    rows = [row for row in summary["arms"] if row.get("speed_up")]
    if len(rows) == 1:
        return f"{_yes_or_no(rows[0]['verdict'])}{verdict_words(rows[0], 1)}"
    counts = Counter(row["verdict"] for row in rows)
    if len(counts) == 1:
        words = _ALL[next(iter(counts))].format(n=len(rows))
        reasons = {verdict_words(row, len(rows)) for row in rows}
        return f"{words} {reasons.pop()}" if TOO_FEW in counts and len(reasons) == 1 else words
    known = [(FASTER, "faster in"), (SLOWER, "slower in"), (UNDECIDED, "undecided in")]
    parts = [f"{words} {counts[verdict]}" for verdict, words in known if counts[verdict]]
    if not parts:
        return ""
    parts[0] += f" of {len(rows)} comparisons"
    if counts[TOO_FEW]:
        parts.append(f"without enough seeds in {counts[TOO_FEW]}")
    return f"It is {', '.join(parts[:-1])} and {parts[-1]}."


def _yes_or_no(verdict: str) -> str:
    return {FASTER: "Yes. ", SLOWER: "No. "}.get(verdict, "")


def verdict_words(row: Mapping[str, Any], comparisons: int) -> str:
    """What the speed-up of an arm, its interval and its p-value say, in a sentence or two.

    Args:
        row: of an arm that is compared, as in ``summary.json``.
        comparisons: the number of arms that are compared.
    """
    gain, verdict, p = row["speed_up"]["samples"], row["verdict"], row["corrected_p"]
    if verdict == TOO_FEW:
        return _too_few(gain["seeds"], comparisons)
    if verdict != UNDECIDED:
        return f"{_medians(gain)}{_never(gain)}"
    return f"{_undecided(gain, p, comparisons)}{_never(gain)}".strip()


def remark(row: Mapping[str, Any], comparisons: int) -> str:
    """:func:`verdict_words`, where they say more than the verdict and the speed-up; otherwise empty."""
    plain = row["verdict"] in (FASTER, SLOWER) and not _never(row["speed_up"]["samples"])
    return "" if plain else verdict_words(row, comparisons)


def time_words(row: Mapping[str, Any]) -> str:
    """How many seeds of an arm are censored, and whether the median has no upper bound; empty where all reached it.

    Args:
        row: of an arm, as in ``summary.json``.
    """
    if not row["censored"]:
        return ""
    seeds, end = row["seeds"], quantity(row["samples"])
    if row["censored"] == seeds:
        return f"No seed reached it within {end} samples."
    words = f"{row['censored']} of {seeds} seeds did not reach it within {end} samples."
    median = row["samples_to_target"]
    if median["low"] is not None and median["high"] is None:
        words += " Half of the seeds or more may never reach it."
    return words


def _medians(gain: Mapping[str, Any]) -> str:
    """The ratio of medians with its interval, as a sentence."""
    value, bound = gain["value"], gain["bound"]
    if value is None:
        return "Neither arm reached the target in half of its seeds, but their seeds differ."
    if value >= 1:
        least = "at least " if bound == ">=" else ""
        return f"{least}{significant(value)} times sooner than the reference.".capitalize()
    least = "at least " if bound == "<=" else ""
    times = "∞" if value == 0 else significant(1 / value)
    return f"{least}{times} times later than the reference.".capitalize()


def _never(gain: Mapping[str, Any]) -> str:
    """Which of the two may never reach the target: so few of its seeds did that the interval has no bound."""
    arm, reference = gain["low"] == 0, gain["low"] is not None and gain["high"] is None
    if arm and reference:
        return " Both may never reach the target."
    if reference:
        return " The reference may never reach the target."
    if arm:
        return " The arm may never reach the target."
    return ""


def _undecided(gain: Mapping[str, Any], p: float | None, comparisons: int) -> str:
    low, high = gain["low"], gain["high"]
    excludes = low > 1 or (high is not None and high < 1)
    small = p is not None and p <= 1 - LEVEL
    corrected = f", corrected for {comparisons} arms," if comparisons > 1 else ""
    if excludes:
        return f"The interval excludes 1, but p{corrected} is {p:.2g}: the interval and the test disagree."
    if small:
        return f"p{corrected} is {p:.2g}, but the interval includes 1: the test and the interval disagree."
    if gain["value"] is None:
        return "Neither arm reached the target in half of its seeds."
    slower = f"{significant(1 / low)} times slower" if low > 0 else ""
    faster = f"{significant(high)} times faster" if high is not None else ""
    if slower and faster:
        return f"The interval includes 1: up to {slower} or {faster} is possible."
    return f"The interval includes 1: at most {slower or faster}." if slower or faster else ""


def _too_few(seeds: int, comparisons: int) -> str:
    enough = next((count for count in range(seeds + 1, MOST_SEEDS) if can_decide(count, comparisons)), None)
    among = f" among {comparisons} arms" if comparisons > 1 else ""
    count = f"{seeds} seed{'s' * (seeds != 1)}"
    more = "" if enough is None else f"; {enough} seeds could"
    return f"{count} cannot decide{among}, whatever the outcome{more}."
