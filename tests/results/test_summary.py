import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from svl.errors import SettingError
from svl.results import history, summary, tables
from svl.results.quantity import quantity, ratio, setting, significant

LR = "model.optimizer.lr"


def printed(table, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_summary_says_what_the_history_holds(two_arms):
    extra = {"seconds": 12.5, "versions": {"numpy": np.__version__}, "command": "svl fit"}
    found = summary.summarise(two_arms, ["data.size"], target=0.9, extra=extra)
    assert {key: found[key] for key in extra} == extra
    assert found["target"] == {"metric": "val/accuracy", "value": 0.9, "direction": "above"}
    assert found["reference"] == {"data.size": "online"}
    assert [arm["label"] for arm in found["arms"]] == ["data.size=4096", "data.size=online"]
    for arm in found["arms"]:
        rows = two_arms[two_arms["data.size"] == arm["settings"]["data.size"]]
        final = rows[rows["step"] == 2000]
        passed = rows[rows["val/accuracy"] >= 0.9].groupby("seed")["samples"].min()
        assert (arm["seeds"], arm["diverged"], arm["steps"], arm["samples"]) == (8, 0, 2000, 256_000)
        assert arm["final"]["val/loss"]["mean"] == pytest.approx(final["val/loss"].mean())
        assert arm["samples_to_target"]["median"] == sorted(passed)[3]
        assert arm["steps_to_target"]["median"] == sorted(passed)[3] / 128
        assert arm["censored"] == 8 - len(passed)
        assert arm["success"]["probability"] == len(passed) / 8
    small, large = found["arms"]
    assert (small["reference"], large["reference"]) == ("data.size=online", None)
    assert large["speed_up"] is None
    gain = small["speed_up"]["samples"]
    assert gain["value"] == large["samples_to_target"]["median"] / small["samples_to_target"]["median"]
    assert 1.5 < gain["low"] <= gain["value"] <= gain["high"] < 3.5
    assert gain["p"] == small["corrected_p"] < 0.01
    assert (gain["seeds"], small["verdict"]) == (8, "faster")
    # equal batch sizes: as many samples a step in both arms
    assert small["speed_up"]["steps"] == gain


def test_what_diverged_or_never_got_there_is_null_in_a_file_that_any_json_parser_reads(two_arms, tmp_path):
    gone = two_arms.copy()
    after = (gone["seed"] < 3) & (gone["step"] > 100)
    gone.loc[after, ["val/accuracy", "val/loss", "norm_ratio"]] = np.nan
    gone.loc[after, "diverged"] = True
    found = summary.summarise(gone, ["data.size"], target=1.5)
    summary.write(tmp_path, found)

    def refuse(token):
        raise AssertionError(token)

    read = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert read == found
    small = read["arms"][0]
    assert small["diverged"] == 3
    assert small["final"]["val/accuracy"]["seeds"] == 5
    assert small["samples_to_target"] == {"median": None, "low": pytest.approx(12_800, rel=0.01), "high": None}
    assert small["censored"] == 8
    assert small["speed_up"]["samples"]["bound"] == "?"
    assert (small["speed_up"]["samples"]["p"], small["verdict"]) == (1, "undecided")
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_a_history_read_back_gives_the_same_summary(nine_arms, tmp_path):
    history.append(tmp_path, nine_arms)
    history.finish(tmp_path)
    again = summary.summarise(history.read(tmp_path), ["data.size", LR])
    fresh = summary.summarise(nine_arms, ["data.size", LR])
    for read, direct in zip(again["arms"], fresh["arms"], strict=True):
        assert read.pop("settings")["data.size"] == str(direct.pop("settings")["data.size"])
        assert read == direct


def test_a_metric_that_was_not_logged_is_an_error_and_none_is_no_target(two_arms):
    with pytest.raises(SettingError, match="metric: got 'val/acuracy'; allowed: one of val/accuracy, val/loss"):
        summary.summarise(two_arms, ["data.size"], metric="val/acuracy")
    found = summary.summarise(two_arms, ["data.size"], metric=None)
    assert found["target"] is None
    assert "speed_up" not in found["arms"][0]
    assert any("val/accuracy" in line for line in printed(tables.table(found), 80))


def test_the_table_of_one_setting_fits_80_columns(curves_of):
    sizes = [2**power for power in range(9, 20)] + ["online"]
    onset = {size: 300 + 110 * place for place, size in enumerate(sizes)}
    vary = {"data.size": sizes}
    found = summary.summarise(curves_of(vary, lambda s: onset[s["data.size"]], seeds=16), list(vary))
    lines = printed(tables.table(found), 80)
    # header, rule, an arm a line, caption
    assert len(lines) == 2 + 12 + 1
    for line, arm in zip(lines[2:], found["arms"], strict=False):
        assert line.split()[0] == str(arm["settings"]["data.size"])
        assert (f"{arm['censored']}/16" in line) == (arm["censored"] > 0)
    assert "reference" in lines[13]
    assert "16 seeds" in lines[14]


def test_the_table_of_two_settings_and_lost_seeds_fits_100_columns(nine_arms):
    lost = nine_arms.assign(diverged=nine_arms["seed"] == 0)
    lines = printed(tables.table(summary.summarise(lost, ["data.size", LR])), 100)
    assert len(lines) == 2 + 9 + 1
    assert lines[0].split()[:2] == ["size", "lr"]
    assert all(line.endswith("1/8") for line in lines[2:11])


def test_the_table_of_one_arm_compares_nothing(two_arms):
    one = two_arms[two_arms["data.size"] == "online"]
    lines = printed(tables.table(summary.summarise(one, [], metric="val/loss", target=0.1)), 80)
    assert "samples to ≤ 0.1" in lines[0]
    assert "speed-up" not in lines[0]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *[(0, "0"), (0.5, "0.5"), (900, "900"), (999.96, "1k"), (1000, "1k"), (16384, "16.4k")],
        *[(999_949, "1M"), (1_234_567, "1.23M"), (2e9, "2G"), (math.inf, "∞")],
    ],
)
def test_quantities(count, text):
    assert quantity(float(count)) == text


def test_settings_and_ratios():
    assert [setting(value) for value in (4096, 1.0, 0.3, 1e-5, "online", None)] == [
        *("4096", "1", "0.3", "1e-05", "online", "None")
    ]
    assert [significant(number) for number in (0.0, 0.00051, 2.5, 12.345, 123.4, 98765.0)] == [
        *("0", "0.001", "2.5", "12.3", "123", "98765")
    ]
    assert ratio(3.14159, 2.0, math.inf, ">=") == "≥3.14\N{MULTIPLICATION SIGN} [2, ∞]"
    assert ratio(3.14159, math.nan, math.nan) == "3.14\N{MULTIPLICATION SIGN}"


def test_a_bound_that_says_nothing_is_unknown():
    assert ratio(0.0, 0.0, float("inf"), ">=") == "unknown"
    assert ratio(0.5, 0.0, float("inf"), ">=") == "≥0.5× [0, ∞]"
    assert ratio(0.0, 0.0, 0.1, "<=") == "≤0× [0, 0.1]"
