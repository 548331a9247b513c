"""Verdicts in words say what the numbers say, and what they leave open."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svl.results import summary
from svl.results.comparison import can_decide
from svl.results.verdict_words import answer, remark, time_words, verdict_words


def history(arms, end=3000):
    """Seeds of each arm that jump to the target at these steps; infinite for never."""
    rows = []
    for arm, jumps in arms.items():
        for seed, jump in enumerate(jumps):
            for step in sorted({0, end, *([jump] if jump <= end else [])}):
                value = 1.0 if step >= jump else 0.5
                rows.append({"step": int(step), "samples": int(step) * 10, "arm": arm, "size": arm, "seed": seed})
                rows[-1] |= {"val/accuracy": value, "diverged": False}
    return pd.DataFrame(rows).sort_values("step", kind="stable").reset_index(drop=True)


def summarised(**arms):
    return summary.summarise(history(arms), ["size"])


def spread(middle, seeds=8):
    return [middle + 3 * place for place in range(seeds)]


NEVER = [math.inf] * 8


def words(found):
    return verdict_words(found["arms"][0], len(found["arms"]) - 1)


def test_a_clear_difference_is_its_ratio():
    # The medians are the fourth of eight times: 209 and 809.
    found = summarised(small=spread(200), online=spread(800))
    assert found["arms"][0]["verdict"] == "faster"
    assert words(found) == "3.87 times sooner than the reference."
    assert answer(found) == "Yes. 3.87 times sooner than the reference."
    assert remark(found["arms"][0], 1) == ""
    found = summarised(small=spread(800), online=spread(200))
    assert found["arms"][0]["verdict"] == "slower"
    assert answer(found) == "No. 3.87 times later than the reference."


@pytest.mark.parametrize(
    ("small", "online", "said"),
    [
        (spread(200), NEVER, "The reference may never reach the target."),
        (NEVER, spread(200), "The arm may never reach the target."),
        (NEVER, NEVER, "Neither arm reached the target in half of its seeds. Both may never reach the target."),
    ],
)
def test_an_open_interval_says_who_may_never_get_there(small, online, said):
    found = summarised(small=small, online=online)
    assert said in words(found)
    assert said in remark(found["arms"][0], 1)
    gain = found["arms"][0]["speed_up"]["samples"]
    assert (gain["high"] is None) == ("reference may" in said or "Both" in said)
    assert (gain["low"] == 0) == ("The arm may" in said or "Both" in said)


def test_a_bound_is_called_at_least():
    found = summarised(small=spread(200), online=NEVER)
    assert words(found).startswith("At least 14.4 times sooner")
    found = summarised(small=NEVER, online=spread(200))
    assert words(found).startswith("At least 14.4 times later")


def test_an_interval_that_includes_1_says_how_far():
    rng = np.random.default_rng(0)
    found = summarised(small=rng.integers(300, 900, 8).tolist(), online=rng.integers(300, 900, 8).tolist())
    gain = found["arms"][0]["speed_up"]["samples"]
    assert found["arms"][0]["verdict"] == "undecided"
    slower, faster = f"{1 / gain['low']:.2f}", f"{gain['high']:.2f}"
    assert words(found) == f"The interval includes 1: up to {slower} times slower or {faster} times faster is possible."


def row(low, high, p, verdict="undecided", value=1.0):
    gain = {"value": value, "low": low, "high": high, "bound": "=", "p": p, "seeds": 8}
    return {"speed_up": {"samples": gain}, "verdict": verdict, "corrected_p": p}


def test_where_the_interval_and_the_test_disagree_it_is_said():
    assert verdict_words(row(1.1, 2.0, 0.08), 5) == (
        "The interval excludes 1, but p, corrected for 5 arms, is 0.08: the interval and the test disagree."
    )
    assert verdict_words(row(0.9, 2.0, 0.031), 1) == (
        "p is 0.031, but the interval includes 1: the test and the interval disagree."
    )


@given(seeds=st.integers(1, 12), comparisons=st.integers(1, 600))
def test_the_number_of_seeds_that_would_be_enough_is_the_smallest(seeds, comparisons):
    if can_decide(seeds, comparisons):
        return
    told = verdict_words(
        {**row(None, None, None, "too few seeds"), "speed_up": {"samples": {"seeds": seeds}}}, comparisons
    )
    enough = int(told.split("; ")[1].split()[0])
    assert can_decide(enough, comparisons)
    assert not any(can_decide(count, comparisons) for count in range(seeds, enough))


def test_censored_seeds_are_counted_with_the_time_until_which_they_are_known():
    found = summarised(small=[*spread(200, 5), math.inf, math.inf, math.inf], online=NEVER)
    assert time_words(found["arms"][0]).startswith("3 of 8 seeds did not reach it within 30k samples.")
    assert time_words(found["arms"][1]) == "No seed reached it within 30k samples."
    assert time_words(summarised(small=spread(200), online=spread(300))["arms"][0]) == ""
    half = summarised(small=[*spread(200, 4), *[math.inf] * 4], online=NEVER)["arms"][0]
    assert half["samples_to_target"]["high"] is None
    assert time_words(half).endswith("Half of the seeds or more may never reach it.")


def test_the_answer_counts_what_differs():
    found = summarised(tiny=spread(2000), small=spread(200), online=spread(800))
    assert answer(found) == "It is faster in 1 of 2 comparisons and slower in 1."
    assert answer(summarised(tiny=spread(100), small=spread(200), online=spread(800))) == "Yes, in all 2 comparisons."
    few = summarised(tiny=[100, 200], small=[100, 300], online=[200, 400])
    assert answer(few) == (
        "There are too few seeds to decide any of the 2 comparisons. "
        "2 seeds cannot decide among 2 arms, whatever the outcome; 5 seeds could."
    )
    assert answer(summarised(only=spread(100))) == ""
