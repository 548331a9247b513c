"""The numbers and verdicts of a report are those of the summary and the history."""

import json
import math
import re
from collections import Counter

import pytest

from svl.results import panels, report

LR = "model.optimizer.lr"


def numbers(cell):
    """``83.2k [64k, ∞]`` as three numbers; ``3/8`` as two."""
    sizes = {"": 1, "k": 1e3, "M": 1e6}
    found = re.findall(r"(∞|-?\d[\d.]*(?:e[-+]?\d+)?)([kM]?)", cell)
    return [math.inf if number == "∞" else float(number) * sizes[unit] for number, unit in found]


def estimate(entry, name, scale=1.0):
    """What a cell with an estimate shows, from the summary."""
    if entry is None or entry[name] is None:
        return []
    interval = [] if entry["low"] is None else [entry["low"], math.inf if entry["high"] is None else entry["high"]]
    return [scale * number for number in (entry[name], *interval)]


def same(shown, expected, rounding=5.1e-4):
    """Equal to as many digits as are shown: three significant ones, three decimals, or those of ``rounding``."""
    return len(shown) == len(expected) and all(
        a == b or math.isclose(a, b, rel_tol=0.0051, abs_tol=rounding) for a, b in zip(shown, expected, strict=True)
    )


def test_every_number_of_the_tables_is_the_summarys(page, nine):
    found = json.loads((nine / "summary.json").read_text())
    arms = {(arm["settings"]["data.size"], str(arm["settings"][LR]).removesuffix(".0")): arm for arm in found["arms"]}
    never = {key: arm["censored"] for key, arm in arms.items()}
    assert 0 in never.values() and 8 in never.values() and set(never.values()) - {0, 8}

    def of_arms(beginning):
        header, rows = page.table(beginning)
        assert header[:2] == ["size", "lr"]
        for row in rows:
            yield arms[row[0], row[1]], dict(zip(header[2:], row[2:], strict=True))

    shown = list(of_arms("8 seeds each"))
    assert len(shown) == 9
    for arm, row in shown:
        assert same(numbers(row["val/accuracy %"]), estimate(arm["final"]["val/accuracy"], "mean", 100), rounding=0.051)
        assert same(numbers(row["samples to 90 %"]), estimate(arm["samples_to_target"], "median"))
        assert numbers(row["never"]) == ([arm["censored"], 8] if arm["censored"] else [])
        assert numbers(row["NaN"]) == ([arm["diverged"], 8] if arm["diverged"] else [])
        gain = arm["speed_up"] and arm["speed_up"]["samples"]
        assert same(numbers(row["speed-up"]), estimate(gain, "value"))

    shown = list(of_arms("Time to val/accuracy of 90 %"))
    assert len(shown) == 9
    for arm, row in shown:
        for unit in ("samples", "steps"):
            entry = arm[f"{unit}_to_target"]
            known = entry["median"] is not None
            expected = estimate(entry, "median") if known else estimate({**entry, "median": 0.0}, "median")[1:]
            assert same(numbers(row[f"median {unit}"]), expected)
            assert known or row[f"median {unit}"].startswith("not reached")
        assert numbers(row["reached"]) == [8 - arm["censored"], 8]
        assert numbers(row["censored"]) == [arm["censored"], 8]
        assert same(numbers(row["chance of success %"]), estimate(arm["success"], "probability", 100), rounding=0.051)

    shown = list(of_arms("Last measurement"))
    assert len(shown) == 9
    for arm, row in shown:
        assert same(numbers(row["val/loss"]), estimate(arm["final"]["val/loss"], "mean"))
        assert same(numbers(row["norm_ratio"]), estimate(arm["final"]["norm_ratio"], "mean"))

    shown = list(of_arms("To val/accuracy of 90 %, against size = online"))
    assert len(shown) == 6
    for arm, row in shown:
        gain = arm["speed_up"]["samples"]
        assert same(numbers(row["speed-up in samples"]), estimate(gain, "value"))
        assert ("≥" in row["speed-up in samples"]) == (gain["bound"] == ">=")
        assert "in steps" not in row  # equal batch sizes
        assert row["p, corrected"] == "< 0.0001" or numbers(row["p, corrected"]) == [
            pytest.approx(arm["corrected_p"], rel=0.051)
        ]
        assert row["seeds"] == "8"
        high = math.inf if gain["high"] is None else gain["high"]
        decided = arm["corrected_p"] <= 0.05
        expected = "faster" if decided and gain["low"] > 1 else "slower" if decided and high < 1 else "undecided"
        assert row["verdict"].split()[-1] == expected


def test_a_small_set_that_is_slower_is_called_so(curves_of, tmp_path, page_of, make_run):
    rows = curves_of({"data.size": [4096, "online"]}, lambda s: 900 if s["data.size"] == 4096 else 400)
    shown = page_of(report.render([report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"]))]))
    assert [row[1] for row in shown.table("To val/accuracy")[1]] == ["▼ slower"]


def test_marks_of_times_are_the_seeds_times_and_open_ones_are_censored(nine_arms):
    rows = nine_arms[nine_arms["step"] <= 1000]
    figures = panels.times(rows, ["data.size", LR], "val/accuracy", 0.9)
    assert list(figures) == ["lr = 0.1", "lr = 0.3", "lr = 1"]
    counted = Counter()
    for lr, figure in zip((0.1, 0.3, 1.0), figures.values(), strict=True):
        (axes,) = figure.axes
        for place, size in enumerate((4096, 16384, "online")):
            reached, never = axes.lines[2 * place], axes.lines[2 * place + 1]
            expected = {True: [], False: []}
            for seed in range(8):
                one = rows[(rows["data.size"] == size) & (rows[LR] == lr) & (rows["seed"] == seed)]
                passed = one.loc[one["val/accuracy"] >= 0.9, "samples"]
                expected[len(passed) > 0].append(passed.min() if len(passed) else one["samples"].max())
            assert list(reached.get_xdata()) == expected[True]
            assert list(never.get_xdata()) == expected[False]
            assert (reached.get_fillstyle(), never.get_fillstyle()) == ("full", "none")
            assert all(abs(height - place) < 0.4 for line in (reached, never) for height in line.get_ydata())
            counted.update({kind: len(times) for kind, times in expected.items()})
    assert counted[True] and counted[False]
