"""The dashboard of an experiment: its specification holds charts of what was measured, and W&B's classes take it."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from svl.replicas import Replicas
from svl.results import arm_means, history

VARY = {"data.size": [4096, "online"], "model.optimizer.lr": [0.3, 1.0]}
HEADS = [
    f"qk/{layer}.{head}/{statistic}" for layer in (0, 11) for head in (0, 1) for statistic in ("entropy", "q_norm")
]
METRICS = ["val/loss", "val/accuracy", "train/accuracy", "norm_ratio", *HEADS, "gradient_cosine", "gradient_cosine/out"]
SMALL, LARGE = "#e0a800", "#1b4fa8"


def frame(metrics, vary=VARY):
    replicas = Replicas(2, 0, vary)
    columns = {key: list(map(str, replicas.column(key, None))) for key in vary}
    counters = {"step": 50, "samples": 800, "arm": replicas.arm, "seed": replicas.seed}
    numbers = np.random.default_rng(0).random((len(metrics), len(replicas)))
    return pd.DataFrame({**counters, **columns, **dict(zip(metrics, numbers, strict=True)), "diverged": False})


def run_directory(folder, metrics=METRICS, vary=VARY, metric="val/accuracy"):
    folder.mkdir(parents=True)
    settings = {"replicas": {"vary": vary}, "target": {"metric": metric}, "wandb": {"project": "data", "entity": "us"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    history.append(folder, frame(metrics, vary))


@pytest.fixture
def dry_run(svl, tmp_path):
    def specification(name="panel", *words):
        done = svl(tmp_path, "dashboard", name, "--dry-run", *words)
        assert done.status == 0, done.err
        return yaml.safe_load(done.out)

    return specification


def sections(specification):
    """Sections of charts by their titles."""
    found = specification["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [panel["config"] for panel in section["panels"]] for section in found}


def drawn(panel, keys):
    return {key for key in keys if re.search(panel["metricRegex"], key)}


def logged(metrics, vary=VARY):
    """The names under which a fit logs its metrics."""
    arms = Replicas(2, 0, vary).named_arms
    (row,) = arm_means.rows(frame(metrics, vary), metrics, arms, np.arange(2 * len(arms)) % 3 == 0)
    return set(row)


def test_a_chart_draws_the_arms_that_are_compared_of_what_a_fit_logs(dry_run, tmp_path):
    run_directory(tmp_path / "runs" / "panel" / "20260101-000000-aaaa")
    found, keys = sections(dry_run("panel", "--project", "svl")), logged(METRICS)
    assert list(found) == ["Small against large", "Norm ratio", "Gradient cosine similarity", "QK statistics", "Arms"]

    def arms(metric, lr, bounds=("", "low/", "high/")):
        return {f"{bound}{metric}/size={size}, lr={lr}" for size in (4096, "online") for bound in bounds}

    expected = {
        "Small against large": [arms(metric, lr) for metric in ("val/accuracy", "success") for lr in (0.3, 1)],
        "Norm ratio": [arms("norm_ratio", lr) for lr in (0.3, 1)],
        "Gradient cosine similarity": [
            arms(metric, lr, [""]) for metric in ("gradient_cosine", "gradient_cosine/out") for lr in (0.3, 1)
        ],
        # A chart for each statistic, with all layers and heads.
        "QK statistics": [
            set().union(*(arms(head, lr, [""]) for head in HEADS if head.endswith(statistic)))
            for statistic in ("entropy", "q_norm")
            for lr in (0.3, 1)
        ],
    }
    for title, charts in expected.items():
        assert [drawn(panel, keys) for panel in found[title]] == charts
        assert {panel["xAxis"] for panel in found[title]} == {"samples"}
    assert found["QK statistics"][1]["chartTitle"] == "qk/*.*/entropy, lr = 1"


def test_small_is_yellow_and_large_blue_and_they_differ_without_colour(dry_run, tmp_path):
    for number in range(2):
        run_directory(tmp_path / "runs" / "panel" / f"20260101-00000{number}-aaaa")
    found = sections(dry_run())
    for name in ("Norm ratio", "QK statistics"):
        for panel in found[name]:
            lines = panel["overrideColors"]
            # Of both runs, each line that is drawn and no other.
            assert {line.partition(":")[2] for line in lines} == drawn(panel, logged(METRICS))
            assert {line.partition(":")[0] for line in lines} == {"20260101-000000-aaaa", "20260101-000001-aaaa"}
            for line, look in lines.items():
                assert look["color"] == (SMALL if "size=4096" in line else LARGE)
                bound = ":low/" in line or ":high/" in line
                mark = "dotted" if bound else "solid" if "size=4096" in line else "dashed"
                assert panel["overrideMarks"][line] == mark


def test_what_was_not_measured_has_no_section_and_no_report(dry_run, tmp_path):
    run_directory(tmp_path / "elsewhere" / "panel" / "20260101-000000-aaaa", ["val/loss"], {}, "val/loss")
    found = dry_run("panel", "--runs", "elsewhere")
    assert list(sections(found)) == ["Small against large", "Arms"]
    assert [report["displayName"] for report in found["reports"]] == ["panel: Small against large"]
    # The target's metric, whatever it is.
    loss, success = sections(found)["Small against large"]
    assert drawn(loss, logged(["val/loss"], {})) == {"val/loss/all", "low/val/loss/all", "high/val/loss/all"}
    assert drawn(success, logged(["val/loss"], {})) == {"success/all", "low/success/all", "high/success/all"}


def test_the_newest_run_that_has_measured_something_tells(dry_run, tmp_path):
    run_directory(tmp_path / "runs" / "panel" / "20260101-000000-aaaa", ["val/loss"], {}, "val/loss")
    run_directory(tmp_path / "runs" / "panel" / "20260102-000000-aaaa", ["val/loss", "norm_ratio"], {}, "val/loss")
    unmeasured = tmp_path / "runs" / "panel" / "20260103-000000-aaaa"
    unmeasured.mkdir()
    (unmeasured / "config.yaml").write_text((unmeasured.parent / "20260102-000000-aaaa" / "config.yaml").read_text())
    assert "Norm ratio" in sections(dry_run())


def test_without_a_local_run_every_figure_takes_every_arm(dry_run):
    found, keys = sections(dry_run("panel", "--project", "svl")), logged(METRICS)
    assert list(found) == ["Small against large", "Norm ratio", "Gradient cosine similarity", "QK statistics", "Arms"]
    (small,), (ratio,), (cosine,), (qk,) = list(found.values())[:4]
    arms = keys - {f"mean/{metric}" for metric in METRICS}  # no figure draws the mean over all arms
    assert drawn(small, keys) == {key for key in arms if "val/accuracy" in key or "success" in key}
    assert drawn(ratio, keys) == {key for key in arms if "norm_ratio" in key}
    assert drawn(cosine, keys) == {key for key in arms if key.startswith("gradient_cosine")}
    assert drawn(qk, keys) == {key for key in arms if key.startswith("qk/")}


def test_a_report_holds_a_figure_and_both_show_the_runs_of_the_experiment(dry_run, tmp_path):
    run_directory(tmp_path / "runs" / "panel" / "20260101-000000-aaaa")
    found = dry_run("panel", "--project", "other")
    group = [{"key": {"section": "run", "name": "group"}, "op": "=", "value": "panel", "disabled": False}]
    view = found["workspace"]
    assert (view["entity"], view["project"]) == ("us", "other")
    assert view["spec"]["section"]["runSets"][0]["filters"]["filters"] == group
    titles = [name for name in sections(found) if name != "Arms"]
    assert [report["displayName"] for report in found["reports"]] == [f"panel: {title}" for title in titles]
    for title, report in zip(titles, found["reports"], strict=True):
        (grid,) = [block["metadata"] for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
        assert grid["runSets"][0]["filters"]["filters"] == group
        charts = [panel["config"]["metricRegex"] for panel in grid["panelBankSectionConfig"]["panels"]]
        assert charts == [panel["metricRegex"] for panel in sections(found)[title]]


def test_wandb_workspaces_reads_what_is_printed_and_writes_it_again(dry_run, tmp_path):
    run_directory(tmp_path / "runs" / "panel" / "20260101-000000-aaaa")
    found = dry_run()
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.reports.v2 import internal as reports
    from wandb_workspaces.workspaces import internal as workspaces

    def written(view):
        return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)

    view = ws.Workspace._from_model(workspaces.View.model_validate(found["workspace"]))
    assert [section.name for section in view.sections] == list(sections(found))
    assert written(view) == found["workspace"]
    for specification in found["reports"]:
        report = wr.Report._from_model(reports.ReportViewspec.model_validate(specification))
        (grid,) = [block for block in report.blocks if isinstance(block, wr.PanelGrid)]
        assert all(isinstance(panel, wr.LinePlot) for panel in grid.panels)
        assert written(report)["spec"]["blocks"] == specification["spec"]["blocks"]


def test_words_and_runs_that_cannot_be_used_are_one_line(svl, tmp_path):
    broken = tmp_path / "runs" / "panel" / "20260101-000000-aaaa"
    broken.mkdir(parents=True)
    (broken / "config.yaml").write_text("replicas: [")
    for words in ([], ["panel", "--figure", "2"], ["panel", "--dry-run"]):
        done = svl(tmp_path, "dashboard", *words)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


def test_an_experiment_without_runs_is_one_line(svl, tmp_path):
    done = svl(tmp_path, "dashboard", "no_such_experiment", "--dry-run")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("svl: error: EXPERIMENT: got 'no_such_experiment'; allowed: an experiment with ")
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_with_nobody_logged_in_and_no_server_a_dry_run_works_and_another_is_one_line(tmp_path):
    program = """
import sys
from svl.cli import main
main(["--help"])
assert "wandb_workspaces" not in sys.modules
assert main(["dashboard", "panel", "--dry-run", "--project", "svl"]) == 0
sys.exit(main(["dashboard", "panel", "--project", "svl"]))
"""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "wandb login" in done.stderr
