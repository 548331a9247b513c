"""``svl report`` on runs of all kinds, and on paths that are not runs."""

import re
import shutil
from pathlib import Path

import pytest

from svl.cli.report_file import default_output
from svl.errors import SettingError
from svl.results import history, panels, report, report_pictures, summary
from svl.results.style import RAMP


@pytest.mark.slow
def test_the_run_of_an_older_svl_whose_history_does_not_name_arms_makes_the_same_page(nine, tmp_path):
    folder = tmp_path / "nine" / nine.name
    shutil.copytree(nine, folder)
    rows = history.read(folder).drop(columns="arm")
    (folder / "history.parquet").unlink()
    history.append(folder, rows)
    history.finish(folder)
    assert "arm" not in history.read(folder)
    assert report.render([report.load(folder)]) == report.render([report.load(nine)])


def test_arms_given_by_name_are_arms_while_the_fit_runs(two_arms, tmp_path, make_run):
    arms = {"small": {"data.size": 4096}, "large": {"data.size": "online"}}
    changes = {"replicas": {"seeds": 8, "vary": None, "arms": arms}}
    rows = two_arms.assign(arm=two_arms["data.size"].map({4096: "small", "online": "large"}))
    path = make_run(tmp_path / "e" / "r", rows, ["data.size"], finished=False, **changes)
    assert [arm["settings"]["data.size"] for arm in report.load(path).summary["arms"]] == ["4096", "online"]


def test_a_fit_that_is_not_finished_is_reported_so_far(two_arms, tmp_path, page_of, make_run):
    rows = two_arms[two_arms["step"] <= 1300]
    run = report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"], finished=False))
    html = report.render([run])
    assert "not finished: step 1,300 of 2,000" in page_of(html).text
    assert "The fit is not finished." in html
    assert run.summary == summary.summarise(rows.astype({"data.size": str}), ["data.size"])
    assert page_of(html).text.count("Written when the fit ends.") == 2  # command, environment


def test_a_finished_fit_that_goes_on_is_not_reported_by_its_old_summary(two_arms, tmp_path, make_run):
    path = make_run(tmp_path / "e" / "r", two_arms[two_arms["step"] <= 500], ["data.size"])
    assert report.load(path).finished
    history.append(path, two_arms[two_arms["step"] > 500])
    run = report.load(path)
    assert not run.finished
    assert {arm["steps"] for arm in run.summary["arms"]} == {2000}


def test_interventions_and_what_else_has_names_are_part_of_the_question(curves_of, tmp_path, page_of, make_run):
    noise = {"class_path": "svl.interventions.LabelNoise", "init_args": {"rate": 0.1}}
    clip = {"class_path": "svl.interventions.ClipNorm", "init_args": {"max_norm": 2.0}}
    fresh = {"class_path": "svl.data.Online", "init_args": {"batch_size": 64}}
    phases = {"sizes": [16, "online"], "interventions": {"noise": noise}, "streams": {"fresh": fresh}}
    model = {
        "loss": "squared",
        "interventions": {"clip": clip},
        "groups": {"last": {"params": "layers.1.*", "lr": None}},
    }
    changes = {"data": {"class_path": "svl.data.Phases", "init_args": phases}, "model": model}
    path = make_run(tmp_path / "e" / "r", curves_of({}, lambda _: 500, seeds=2), [], **changes)
    shown = page_of(report.render([report.load(path)])).text
    for said in (
        "Phases: sizes [16, online]",
        "fresh: Online: batch_size 64",
        "noise: LabelNoise: rate 0.1; clip: ClipNorm: max_norm 2",
        "last: params layers.1.*",
    ):
        assert said in shown


def test_one_arm_of_one_seed_without_accuracy(curves_of, tmp_path, page_of, make_run):
    rows = curves_of({}, lambda _: 500, seeds=1, norm_ratio=False).drop(columns="val/accuracy")
    rows = rows.assign(**{"reference/ridge": 0.3, "train/constant": 1.0})
    path = make_run(tmp_path / "e" / "r", rows, [], target={"metric": "val/loss", "value": 0.1})
    shown = page_of(report.render([report.load(path)]))
    assert "After how many samples does the network reach val/loss ≤ 0.1?" in shown.text
    assert "1 arm of 1 seed" in shown.text
    assert "Verdicts" not in shown.headings
    assert [tag for tag, _ in shown.elements].count("svl") == 0
    assert [tag for tag, _ in shown.elements].count("svg") == 2  # the loss and its times; what is constant is none
    assert len(shown.table("Last measurement")[0]) == 3


def test_many_metrics_are_drawn_from_every_family_and_the_rest_is_named(
    two_arms, tmp_path, monkeypatch, page_of, make_run
):
    monkeypatch.setattr(report_pictures, "MOST_FIGURES", 4)
    columns = [f"{family}/{number}" for family in ("qk", "norm") for number in range(6)]
    rows = two_arms.assign(**{name: two_arms["norm_ratio"] * place for place, name in enumerate(columns, 1)})
    run = report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"]))
    shown = page_of(report.render([run]))
    labels = [label for label in shown.attributes("aria-label") if label.startswith("Curves of")]
    drawn = [label.split()[2] for label in labels]
    assert drawn == ["val/accuracy", "norm_ratio", "val/loss", "qk/0", "norm/0"]
    named = re.search(r"table below: ([^.]*)\.", shown.text)[1].split(", ")
    assert sorted(named) == sorted(set(columns) - set(drawn))
    finals = [
        name for rows in shown.tables["Last measurement, means over seeds with 95 % intervals"] for name in rows[0]
    ]
    assert {name.removesuffix(" %") for name in finals} == {"size", "val/accuracy", "val/loss", "norm_ratio", *columns}


def test_an_experiments_folder_is_all_its_measured_runs(nine, two_arms, svl, tmp_path, page_of, make_run):
    folder = tmp_path / "e"
    for name in ("20260102-000000-b", "20260101-000000-a"):
        make_run(folder / name, two_arms, ["data.size"])
    (folder / "20260103-000000-c").mkdir()
    (folder / "20260103-000000-c" / "config.yaml").write_text("experiment: e\n")
    outcome = svl(tmp_path, "report", "e", "e/20260102-000000-b")
    assert (outcome.status, outcome.out) == (0, "e/report.html\n")
    assert "20260103-000000-c" in outcome.err
    shown = page_of((tmp_path / "e" / "report.html").read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in shown.elements if tag == "a"]
    assert links == ["#run1", "#run2"]
    assert "The runs have the same settings" in shown.text
    assert shown.headings[:3] == ["2 runs", "Settings that differ", "e"]
    assert shown.text.index("e/20260101-000000-a: finished") < shown.text.index("e/20260102-000000-b: finished")
    ids = shown.attributes("id")
    assert len(ids) == len(set(ids))


def test_what_a_user_named_is_text_and_not_markup(curves_of, tmp_path, page_of, make_run):
    name = "<script>alert('1 & 2')</script>"
    rows = curves_of({"data.size": [name, "online"]}, lambda _: 500, seeds=2, steps=200)
    path = make_run(tmp_path / "e" / "r", rows, ["data.size"], experiment=name)
    shown = page_of(report.render([report.load(path)]))
    assert shown.headings[0] == name
    assert [tag for tag, _ in shown.elements].count("script") == 2  # its own: the data and the program
    assert "alert(" not in "".join(shown.words[-3:])


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ("", ["report: got", "RUN", "svl report RUN [RUN ...] [--output FILE] [--watch]"]),
        ("run --colour", ["report: got", "--colour"]),
        ("nowhere", ["RUN: got 'nowhere'; allowed: a run directory"]),
        ("empty", ["RUN: got 'empty'", "folder of measured runs"]),
        ("begun", ["RUN: got 'begun'", "folder of measured runs"]),
        ("new", ["RUN: got 'new'; allowed: a run whose fit has measured something"]),
        ("torn", ["RUN: got 'torn'", "files can be read"]),
        ("unreadable", ["RUN: got 'unreadable'", "files can be read"]),
        ("run --output empty", ["--output: got 'empty'; allowed: a file that can be written"]),
    ],
)
def test_what_cannot_be_reported_is_one_line(two_arms, svl, tmp_path, words, fragments, make_run):
    rows = two_arms[two_arms["step"] <= 100]
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "run", rows, ["data.size"])
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "run" / "config.yaml", tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "begun" / "new")
    (make_run(tmp_path / "torn", rows, ["data.size"]) / "summary.json").write_text('{"vary": [')
    (make_run(tmp_path / "unreadable", rows, ["data.size"]) / "history.parquet").write_bytes(b"not a table")
    outcome = svl(tmp_path, "report", *words.split())
    assert outcome.status == 2
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    assert all(fragment in outcome.err for fragment in fragments)
    assert not list(tmp_path.rglob("*report.html*"))


def test_a_target_that_was_never_measured_is_named(two_arms, tmp_path, make_run):
    changes = {"target": {"metric": "val/perplexity", "value": 2.0}}
    path = make_run(tmp_path / "e" / "r", two_arms, ["data.size"], finished=False, **changes)
    with pytest.raises(SettingError, match="val/perplexity"):
        report.load(path)


def test_a_run_of_which_only_step_0_is_measured_has_a_page_without_warnings(two_arms, tmp_path, page_of, make_run):
    path = make_run(tmp_path / "e" / "r", two_arms[two_arms["step"] == 0], ["data.size"], finished=False)
    shown = page_of(report.render([report.load(path)]))
    assert "Only step 0 has been measured: there are no curves yet." in shown.text
    assert "No seed reached it within 0 samples." in shown.text


def test_settings_in_which_runs_differ_are_side_by_side(two_arms, tmp_path, page_of, make_run):
    runs = []
    for name, width, lr in (("a", 64, 0.1), ("b", 128, 0.1), ("c", 64, 0.3)):
        model = {
            "network": {"class_path": "svl.models.MLP", "init_args": {"width": width}},
            "optimizer": {"class_path": "svl.optim.SGD", "init_args": {"lr": lr}},
        }
        path = make_run(tmp_path / "e" / name, two_arms, ["data.size"], model=model, run_id=name)
        runs.append(report.load(path))
    shown = page_of(report.render(runs))
    header, rows = shown.table("Settings in which the runs differ")
    assert header == ["run", "width", "lr"]
    assert rows == [["e/a", "64", "0.1"], ["e/b", "128", "0.1"], ["e/c", "64", "0.3"]]
    assert shown.attributes("href")[:6] == ["#run1", "#run2", "#run3"] * 2


def test_more_settings_than_runs_are_rows(two_arms, tmp_path, page_of, make_run):
    runs = []
    for name, seeds, steps, loss in (("a", 8, 2000, "logistic"), ("b", 9, 3000, "squared")):
        changes = {"replicas": {"seeds": seeds, "vary": {"data.size": [4096, "online"]}}}
        changes |= {"trainer": {"max_steps": steps}, "model": {"loss": loss}}
        runs.append(report.load(make_run(tmp_path / "e" / name, two_arms, ["data.size"], **changes)))
    header, rows = page_of(report.render(runs)).table("Settings in which the runs differ")
    assert header == ["setting", "e/a", "e/b"]
    assert sorted(rows) == [["loss", "logistic", "squared"], ["max_steps", "2000", "3000"], ["seeds", "8", "9"]]


def test_the_page_is_written_where_all_its_runs_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_output([Path("runs/a/1")]) == Path("runs/a/1/report.html")
    assert default_output([Path("runs/a/1"), Path("runs/a/2")]) == Path("runs/a/report.html")
    assert default_output([Path("runs/a/1"), Path("runs/b/1")]) == Path("runs/report.html")
    assert default_output([Path("a/1"), Path("b/1")]) == Path("report.html")
    assert default_output([Path("a/1"), tmp_path / "b" / "1"]) == tmp_path / "report.html"
    assert default_output([Path("../x/1"), Path("../y/1")]) == tmp_path.parent / "report.html"


def test_many_panels_of_one_arm_are_one_panel_of_many_arms(curves_of):
    rates = [round(0.1 * place, 1) for place in range(1, 21)]
    rows = curves_of({"data.size": ["online"], "model.optimizer.lr": rates}, lambda _: 500, seeds=2, every=500)
    vary = ["data.size", "model.optimizer.lr"]
    columns = panels.columns_of(rows, vary)
    assert [len(pairs) for pairs in columns.values()] == [20]
    (figure,) = panels.curves(rows, vary, "val/accuracy", 0.9).values()
    colours = [line.get_color() for line in figure.axes[0].lines[:12]]
    assert len(set(colours)) == 12 and colours[-1] == RAMP(1.0)
    legend = figure.axes[0].get_legend()
    assert legend.get_title().get_text() == "12 of 20 arms"
    names = [text.get_text() for text in legend.get_texts()]
    assert names[0] == "online, 0.1" and names[-1] == "online, 2"
