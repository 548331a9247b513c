"""The rows that a fit writes are those of the contract."""

import numpy as np
import pandas as pd
import pytest

METRICS = ["train/loss", "train/accuracy", "val/loss", "val/accuracy", "norm_ratio"]


@pytest.fixture
def history(svl, tiny, tmp_path):
    def fit(*words):
        outcome = svl(tmp_path, *tiny, *words)
        assert outcome.status == 0, outcome.err
        return pd.read_parquet(outcome.path / "history.parquet")

    return fit


def test_one_row_a_measurement_and_replica_in_the_order_of_arms(history):
    vary = ["--replicas.vary.data.size", "[32, online]", "--replicas.vary.model.optimizer.lr", "[0.5, 0.25]"]
    rows = history(*vary, "--replicas.first_seed", "7", "--trainer.max_steps", "18")
    assert list(rows) == ["step", "samples", "arm", "seed", "data.size", "model.optimizer.lr", *METRICS, "diverged"]
    labels = [f"size={size}, lr={lr}" for size in (32, "online") for lr in (0.5, 0.25)]
    assert rows["arm"].tolist() == np.repeat(labels, 2).tolist() * 5
    # At the start, every five steps, and at the end.
    assert rows["step"].tolist() == np.repeat([0, 5, 10, 15, 18], 8).tolist()
    assert rows["samples"].tolist() == (16 * rows["step"]).tolist()
    assert rows["seed"].tolist() == [7, 8] * 20
    assert rows["data.size"].tolist() == (["32"] * 4 + ["online"] * 4) * 5
    assert rows["model.optimizer.lr"].tolist() == [0.5, 0.5, 0.25, 0.25] * 10
    assert rows[["val/loss", "val/accuracy", "norm_ratio"]].notna().all(axis=None)
    # Nothing has been trained on at step 0.
    assert rows.dtypes.astype(str)[["step", "samples", "seed", "diverged"]].tolist() == [
        "int64",
        "int64",
        "int64",
        "bool",
    ]
    # One seed starts as one network in all arms.
    start = rows[rows["step"] == 0]
    assert (start.groupby("seed")["val/loss"].nunique() == 1).all()


def test_samples_are_each_replicas_own(history):
    rows = history("--data", "FullBatch", "--data.size", "8", "--replicas.vary.data.size", "[8, 32, population]")
    per_step = rows[rows["step"] == 20].groupby("data.size")["samples"].unique().map(lambda counts: counts.tolist())
    assert per_step.to_dict() == {"8": [160], "32": [640], "population": [5120]}


def test_a_fit_without_varied_settings_is_one_arm(history):
    rows = history()
    assert set(rows["arm"]) == {"all"}
    assert list(rows) == ["step", "samples", "arm", "seed", *METRICS, "diverged"]


def test_an_arm_that_has_a_name_is_called_by_it(history):
    rows = history("--replicas.arms", '{"2": {"data.size": online}, "1": {"data.size": 32}}')
    assert rows["arm"].tolist() == ["2", "2", "1", "1"] * 5
    assert rows["data.size"].tolist() == ["online", "online", "32", "32"] * 5


def test_lists_that_vary_stand_as_text(history):
    words = ["--data", "Phases", "--data.sizes", "[8, online]", "--data.durations", "[5]"]
    rows = history(*words, "--replicas.vary.data.sizes", "[[8, 32], [16, online]]")
    assert rows["data.sizes"].unique().tolist() == ["[8, 32]", "[16, online]"]
