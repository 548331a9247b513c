"""The numbers behind a report's curves are those of the history."""

import base64
import gzip
import json

import numpy as np
import pytest

from svl.results import curve_data, panels
from svl.results.curve import Curve, stride, thinned_places

LR = "model.optimizer.lr"


def data_of(rows, vary, metrics=("val/accuracy",)):
    columns = panels.columns_of(rows, vary)
    return curve_data.curve_data(columns, {metric: list(columns) for metric in metrics}, None)


def test_means_and_seeds_are_those_of_the_history(nine_arms):
    data = data_of(nine_arms, ["data.size", LR], ("val/accuracy", "val/loss"))
    assert [figure["metric"] for figure in data["figures"]] == ["val/accuracy", "val/loss"] * 3
    for figure in data["figures"]:
        for curve in figure["curves"]:
            settings = data["arms"][curve["arm"]]["settings"]
            rows = nine_arms[
                (nine_arms["data.size"].astype(str) == settings["data.size"]) & (nine_arms[LR] == float(settings[LR]))
            ]
            table = rows.pivot(index="step", columns="seed", values=figure["metric"])
            assert list(data["grids"][curve["grid"]]["steps"]) == list(table.index)
            np.testing.assert_allclose(curve["mean"], table.mean(axis=1), rtol=1e-4)
            np.testing.assert_allclose(curve["seeds"], table.T.iloc[:, :: curve["every"]], rtol=0.006)
            assert curve["count"] == 8
    assert len(data["grids"]) == 1


def test_a_seed_that_diverged_and_a_single_seed_have_no_numbers(two_arms):
    rows = two_arms.copy()
    rows.loc[(rows["seed"] == 0) & (rows["step"] > 1000), "val/accuracy"] = np.nan
    curve = data_of(rows, ["data.size"])["figures"][0]["curves"][0]
    assert curve["count"] == [8] * 21 + [7] * 20
    assert curve["seeds"][0][21:] == [None] * 20
    alone = data_of(two_arms[two_arms["seed"] == 0], ["data.size"])["figures"][0]["curves"][0]
    assert set(alone["low"]) == {None} and None not in alone["mean"]


def test_many_arms_and_measurements_are_thinned_and_keep_their_ends(curves_of, monkeypatch):
    monkeypatch.setattr(curve_data, "MOST_NUMBERS", 3 * 10 * 30)
    monkeypatch.setattr(curve_data, "MOST_OF_SEEDS", 10 * 30)
    rows = curves_of({LR: [0.1 * place for place in range(1, 11)]}, lambda _: 500, seeds=4, every=10)
    data = data_of(rows, [LR])
    assert data["stride"] == stride(201, 30) == 7
    (grid,) = data["grids"]
    assert grid["steps"][:2] == (0, 70) and grid["steps"][-1] == 2000
    curves = data["figures"][0]["curves"]
    assert len(curves) == 10
    assert sum(len(seed) for curve in curves for seed in curve["seeds"]) <= 2 * 10 * 30
    assert all(curve["seeds"] for curve in curves)


@pytest.mark.parametrize("count", [0, 1, 2, 299, 300, 301, 1000])
def test_places_are_evenly_spaced_from_the_first_to_the_last(count):
    places = thinned_places(count, 300)
    assert len(places) <= 301
    assert list(places[:1]) + list(places[-1:]) == [0, count - 1] * (count > 0)
    assert len(set(np.diff(places)[:-1])) <= 1


def test_a_metric_that_is_measured_less_often_has_its_own_steps(two_arms):
    rows = two_arms.assign(rare=two_arms["val/loss"].where(two_arms["step"] % 500 == 0))
    curve = Curve.of(rows[rows["data.size"] == 4096], "rare", 300)
    assert list(curve.step) == [0, 500, 1000, 1500, 2000]
    assert list(curve.samples) == [128 * step for step in curve.step]


def test_what_is_packed_can_be_unpacked_and_is_safe_inside_a_script():
    data = {"name": "</script><b>ü", "numbers": [0.5, None, 1e-7]}
    text = curve_data.packed(data)
    assert text == curve_data.packed(data)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=")
    assert json.loads(gzip.decompress(base64.urlsafe_b64decode(text))) == data
