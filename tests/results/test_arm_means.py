"""The numbers that loggers receive of a measurement."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from svl.results import arm_means, statistics
from svl.results.arm_label import arm_label


def frame(samples, arms, **columns):
    """One measurement of the named arms, each with equally many replicas."""
    seeds = len(next(iter(columns.values()))) // len(arms)
    return pd.DataFrame({"step": 50, "samples": samples, "arm": np.repeat(list(arms), seeds), **columns})


def by_label(*arms):
    return {arm_label(settings): settings for settings in arms}


def test_arms_with_equal_samples_share_a_row_and_names_are_short():
    arms = by_label(*({"data.size": size, "model.optimizer.lr": lr} for size in (32, "online") for lr in (0.3, 1.0)))
    found = arm_means.rows(frame(640, arms, loss=np.arange(8.0)), ["loss"], arms, np.arange(8) < 3)
    assert len(found) == 1
    assert {key: value for key, value in found[0].items() if not key.startswith(("low", "high"))} == {
        "step": 50,
        "samples": 640,
        "loss/size=32, lr=0.3": 0.5,
        "loss/size=32, lr=1": 2.5,
        "loss/size=online, lr=0.3": 4.5,
        "loss/size=online, lr=1": 6.5,
        "mean/loss": 3.5,
        "success/size=32, lr=0.3": 1,
        "success/size=32, lr=1": 0.5,
        "success/size=online, lr=0.3": 0,
        "success/size=online, lr=1": 0,
    }


def test_a_seed_that_diverged_is_left_out_and_an_arm_of_such_seeds_has_no_value():
    loss = np.array([1.0, 2.0, 4.0, np.nan, *[np.nan] * 4])
    arms = by_label({"a": 1}, {"a": 2})
    (row,) = arm_means.rows(frame(640, arms, loss=loss), ["loss"], arms, np.zeros(8, bool))
    finite = loss[:3]
    assert row["loss/a=1"] == pytest.approx(finite.mean())
    interval = stats.t.interval(0.95, 2, finite.mean(), stats.sem(finite))
    assert (row["low/loss/a=1"], row["high/loss/a=1"]) == pytest.approx(interval)
    assert not {"loss/a=2", "low/loss/a=2", "high/loss/a=2"} & row.keys()
    assert row["success/a=2"] == 0
    # Over replicas, not over arms.
    assert row["mean/loss"] == pytest.approx(finite.mean())


def test_the_mean_over_all_arms_counts_replicas_and_stands_where_the_most_samples_are():
    arms = by_label({"a": 1}, {"a": 2})
    measured = frame([64, 64, 32, 32], arms, loss=[1.0, np.nan, 4.0, 7.0], never=np.nan)
    found = arm_means.rows(measured, ["loss", "never"], arms, np.zeros(4, bool))
    assert [row["samples"] for row in found] == [32, 64]
    assert [{key: row[key] for key in row if key.startswith("mean/")} for row in found] == [{}, {"mean/loss": 4.0}]


def test_a_single_seed_has_no_interval():
    (row,) = arm_means.rows(frame([640], ["all"], loss=[1.0]), ["loss"], {"all": {}}, np.array([True]))
    assert {key: row[key] for key in row if "loss" in key} == {"loss/all": 1, "mean/loss": 1}


def test_bounds_of_accuracies_stay_below_1_and_equal_seeds_have_none():
    arms = by_label({"a": 1}, {"a": 2})
    accuracy = np.float32([0.99, 0.9, 1.0, 0.6, 0.6, 0.6])
    (row,) = arm_means.rows(frame(640, arms, **{"val/accuracy": accuracy}), ["val/accuracy"], arms, np.zeros(6, bool))
    expected = statistics.mean(accuracy[:3], (0, 1))
    assert (row["low/val/accuracy/a=1"], row["high/val/accuracy/a=1"]) == pytest.approx((expected.low, 1))
    assert row["val/accuracy/a=2"] == pytest.approx(0.6)
    assert not {"low/val/accuracy/a=2", "high/val/accuracy/a=2"} & row.keys()


def test_rows_belong_to_the_arm_that_they_name_whatever_their_order():
    arms = {"small": {"a": 1}, "large": {"a": 2}}
    measured = frame(640, arms, seed=[0, 1, 0, 1], loss=[1.0, 2.0, 10.0, 20.0])
    reached = np.array([True, True, False, True])
    order = [3, 0, 2, 1]
    straight = arm_means.rows(measured, ["loss"], arms, reached)
    assert arm_means.rows(measured.iloc[order], ["loss"], arms, reached[order]) == straight
    # A chart's name is that of the settings, which the names of arms do not change.
    assert (straight[0]["loss/a=1"], straight[0]["loss/a=2"], straight[0]["success/a=2"]) == (1.5, 15.0, 0.5)


def test_a_replica_that_has_passed_the_target_once_has_passed_it():
    arms = {"small": {"a": 1}, "large": {"a": 2}}
    losses = ([0.05, 2.0, 1.0, np.nan], [1.0, 2.0, 0.1, np.nan])
    history = pd.concat([frame(640, arms, seed=[0, 1, 0, 1], loss=loss) for loss in losses], ignore_index=True)
    assert arm_means.reached(history, "loss", 0.1).tolist() == [True, False, True, False]
