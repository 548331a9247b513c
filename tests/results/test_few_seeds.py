"""What tables and reports say where there are few seeds, or many arms."""

import json
import re

import pytest
import yaml

from svl.results import question, report, setup_lines, summary, tables
from svl.results.quantity import ratio

LR = "model.optimizer.lr"
CONFIG = """
experiment: par
replicas:
  seeds: 2
  vary: {data.size: [64, online]}
data:
  class_path: Subset
  init_args:
    task: {class_path: Parity, init_args: {dim: 10, degree: 2}}
    batch_size: 32
    test_size: 256
model:
  network: {class_path: svl.models.MLP, init_args: {width: 16, depth: 2}}
  loss: logistic
  optimizer: {class_path: SGD, init_args: {lr: 0.5}}
  compile: never
  threads: 1
trainer: {max_steps: 50, log_every_n_steps: 10, logger: false, accelerator: cpu}
"""


def two_sizes(curves_of, seeds, spread=0.2, gap=2):
    return curves_of(
        {"data.size": [4096, "online"]}, lambda s: 400 * (1 if s["data.size"] == 4096 else gap), seeds, spread=spread
    )


def test_two_seeds_with_equal_times_are_too_few(curves_of, tmp_path, page_of, make_run):
    run = report.load(make_run(tmp_path / "e" / "r", two_sizes(curves_of, 2, spread=0), ["data.size"]))
    gain = run.summary["arms"][0]["speed_up"]["samples"]
    assert (gain["low"], gain["high"], gain["p"]) == (None, None, None)
    page = page_of(report.render([run]))
    speed_up = ratio(gain["value"])
    assert page.table("To val/accuracy")[1] == [["4096", "◇ too few seeds", speed_up, "-", "2"]]
    assert "2 seeds cannot decide, whatever the outcome; 4 seeds could." in page.text
    assert "against size = online: 1 with too few seeds" in page.text


@pytest.mark.slow
def test_a_fit_of_two_seeds_with_equal_times_calls_no_arm_slower(svl, tmp_path):
    (tmp_path / "par.yaml").write_text(CONFIG)
    done = svl(tmp_path, "fit", "--config", "par.yaml", "--run_id", "a")
    assert done.status == 0, done.err
    run = report.load(tmp_path / "runs" / "par" / "a")
    small = run.summary["arms"][0]
    # Both seeds reach 90 % at the same measurement, later than those of fresh data: a bootstrap had no width.
    gain = small["speed_up"]["samples"]
    assert (gain["value"], gain["low"], gain["high"], gain["p"]) == (0.75, None, None, None)
    assert small["verdict"] == "too few seeds"


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        (1, "1 seed each, no intervals: a single seed has none"),
        (2, "2 seeds each, means with 95 % intervals, which medians and speed-ups of so few seeds lack"),
        (4, "4 seeds each, means with 95 % intervals, which medians of so few seeds lack"),
        (5, "5 seeds each, means and medians with 95 % intervals"),
    ],
)
def test_the_caption_says_what_has_an_interval(curves_of, seeds, says):
    rows = two_sizes(curves_of, seeds)
    rows["val/accuracy"] -= 0.001 * rows["seed"]  # all would end at exactly 1
    found = summary.summarise(rows, ["data.size"])
    assert tables.table(found).caption == says
    row = {name: cells[0] for name, cells in tables.arm_columns(found).items()}
    assert [("[" in row[name]) for name in ("val/accuracy %", "samples to 90 %", "speed-up")] == [
        *(seeds >= 2, seeds >= 5, seeds >= 4)
    ]


def test_seeds_that_all_end_at_1_have_no_interval_but_a_chance_of_success(curves_of):
    rows = two_sizes(curves_of, 8)
    found = summary.summarise(rows.assign(**{"val/accuracy": rows["val/accuracy"].round(3)}), ["data.size"])
    row = {name: cells[0] for name, cells in (tables.arm_columns(found) | tables.time_columns(found)).items()}
    assert row["val/accuracy %"] == "100.0"
    assert row["chance of success %"] == "100.0 [67.6, 100.0]"


@pytest.mark.parametrize(("seeds", "verdict"), [(3, "too few seeds"), (4, "faster"), (16, "faster")])
def test_a_gap_without_overlap_is_decided_from_four_seeds_on(curves_of, seeds, verdict):
    found = summary.summarise(two_sizes(curves_of, seeds, gap=4), ["data.size"])
    assert found["arms"][0]["verdict"] == verdict


def test_verdicts_on_many_arms_are_corrected_for_their_number(curves_of):
    rates = [0.1 * 1.3**place for place in range(6)]
    vary = {"data.size": [4096, "online"], LR: rates}
    rows = curves_of(vary, lambda s: 400 if s["data.size"] == 4096 else 1600, seeds=4, every=200)
    found = summary.summarise(rows, list(vary))
    small = [arm for arm in found["arms"] if arm["speed_up"]]
    # 2 / 70 is the smallest p-value of four seeds against four, and six times as much is no verdict.
    assert [arm["speed_up"]["samples"]["p"] for arm in small] == pytest.approx([2 / 70] * 6)
    assert [arm["corrected_p"] for arm in small] == pytest.approx([12 / 70] * 6)
    assert {arm["verdict"] for arm in small} == {"too few seeds"}


def test_a_summary_of_an_older_svl_gets_the_statistics_of_this_one(two_arms, tmp_path, make_run):
    path = make_run(tmp_path / "e" / "r", two_arms, ["data.size"])
    now = report.load(path).summary
    old = {key: value for key, value in now.items() if key != "intervals"} | {"command": "svl fit"}
    old["arms"] = [{key: value for key, value in arm.items() if key != "verdict"} for arm in old["arms"]]
    (path / summary.SUMMARY).write_text(json.dumps(old))
    assert report.load(path).summary == now | {"command": "svl fit"}


def test_many_values_are_not_written_out(curves_of):
    rates = [0.01 * place for place in range(1, 41)]
    vary = {"data.size": [64, "online"], LR: rates}
    found = summary.summarise(curves_of(vary, lambda _: 400, seeds=1, steps=800, every=400), list(vary))
    assert question.question(found).endswith("at lr = 0.01, 0.02, ... or 0.4 (40 values)?")
    settings = yaml.safe_load(CONFIG)
    lines = setup_lines.setup_lines(settings, found)
    assert lines["varied"] == f"data.size: 64, online; {LR}: 0.01, 0.02, ..., 0.4 (40 values)"
    assert question.listed(list("12345678")) == "1, 2, 3, 4, 5, 6, 7 or 8"
    assert re.fullmatch(r"1, 2, ... or 9 \(9 values\)", question.listed(list("123456789")))
