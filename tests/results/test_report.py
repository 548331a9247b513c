"""The page that a browser shows: its numbers are the summary's, it needs nothing else, and it fits a phone."""

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from matplotlib.colors import to_rgb

from svl.errors import SettingError
from svl.results import history, panels, report, report_pictures, summary
from svl.results.inline_svg import palette
from svl.results.run import provenance
from svl.results.style import RAMP

LR = "model.optimizer.lr"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, the text by element, and the tables by caption."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words, self.tables, self.headings = [], [], [], {}, []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables.setdefault(self.caption, []).append(self.rows)

    def handle_data(self, text):
        self.words.append(text)
        if "caption" in self.open:
            self.caption += text
        elif {"th", "td"} & set(self.open):
            self.rows[-1][-1] += text
        elif self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings[-1] += text

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    def table(self, beginning):
        (rows,) = next(tables for caption, tables in self.tables.items() if caption.startswith(beginning))
        return rows[0], rows[1:]


def make_run(path, rows, vary, finished=True, **changes):
    config = {
        "experiment": path.parent.name,
        "trainer": {"max_steps": 2000},
        "data": {
            "class_path": "svl.data.Subset",
            "init_args": {
                "reuse": "epochs",
                "size": "online",
                "batch_size": 128,
                "task": {"class_path": "svl.tasks.Parity", "init_args": {"dim": 20, "degree": 6}},
            },
        },
        "model": {
            "network": {"class_path": "svl.models.MLP", "init_args": {"width": 64}},
            "loss": "logistic",
            "optimizer": {"class_path": "svl.optim.SGD", "init_args": {"lr": 0.1}},
        },
        "replicas": {"seeds": 8, "vary": {key: rows[key].unique().tolist() for key in vary}},
        "target": {"metric": "val/accuracy", "value": 0.9},
    }
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config | changes, sort_keys=False))
    history.append(path, rows)
    if finished:
        history.finish(path)
        extra = {"wall_seconds": 75.25, "diverged": 0, **provenance(["fit", "--config", "a b.yaml", "--runs", "here"])}
        target = (config | changes)["target"]
        found = summary.summarise(history.read(path), vary, target["metric"], target["value"], extra=extra)
        summary.write(path, found)
    return path


@pytest.fixture(scope="module")
def nine(nine_arms, tmp_path_factory):
    """A run whose slow arms never get to the target in some or most seeds, and where a seed diverged."""
    rows = nine_arms[(nine_arms["step"] <= 1000)].copy()
    gone = (rows["seed"] == 3) & (rows[LR] == 1.0) & (rows["step"] > 200)
    rows.loc[gone, ["val/accuracy", "val/loss", "norm_ratio"]] = np.nan
    rows.loc[gone, "diverged"] = True
    return make_run(tmp_path_factory.mktemp("runs") / "nine" / "20260101-000000-aaaa", rows, ["data.size", LR])


@pytest.fixture(scope="module")
def page(nine, svl, tmp_path_factory):
    outcome = svl(tmp_path_factory.mktemp("elsewhere"), "report", str(nine))
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{nine / 'report.html'}\n"
    return Page((nine / "report.html").read_text(encoding="utf-8"))


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


# Numbers ------------------------------------------------------------------------------------------------------------


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
        p = gain["logrank_p"]
        assert numbers(row["log-rank p"]) == ([] if p is None else [pytest.approx(p, rel=0.051)])
        high = math.inf if gain["high"] is None else gain["high"]
        expected = "faster" if gain["low"] > 1 else "slower" if high < 1 else "undecided"
        assert row["verdict"].split()[-1] == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        *[(1.01, 3.0, "faster"), (1.01, None, "faster"), (0.2, 0.99, "slower"), (0.9, 1.1, "undecided")],
        *[(1.0, 2.0, "undecided"), (0.5, 1.0, "undecided"), (0.0, None, "undecided"), (None, None, "undecided")],
    ],
)
def test_a_verdict_is_an_interval_that_excludes_1(low, high, expected):
    assert summary.verdict({"value": 1.0, "low": low, "high": high, "bound": "="}) == expected


def test_a_small_set_that_is_slower_is_called_so(curves_of, tmp_path):
    rows = curves_of({"data.size": [4096, "online"]}, lambda s: 900 if s["data.size"] == 4096 else 400)
    shown = Page(report.render([report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"]))]))
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


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_refers_to_nothing_outside(page, nine):
    html = (nine / "report.html").read_text(encoding="utf-8")
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
    assert not re.search(r"https?:|@import|\bsrc\b|//[a-z]", html)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    referred = [value[1:] for name in ("href", "xlink:href") for value in page.attributes(name)]
    referred += re.findall(r"url\(#([^)]*)\)", html)
    assert len(referred) > 20 and set(referred) <= set(ids)
    assert len(re.findall(r"url\(", html)) == len(re.findall(r"url\(#", html))
    assert len(html) < 300_000


def test_the_page_can_be_read_without_looking(page):
    attributes = dict(page.elements)
    assert attributes["html"] == {"lang": "en"}
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [a for _, a in page.elements]
    assert "nine/20260101-000000-aaaa" in page.text
    assert {cell["scope"] for tag, cell in page.elements if tag == "th"} == {"col", "row"}
    pictures = [picture for tag, picture in page.elements if tag == "svg"]
    assert len(pictures) == 3 * (3 + 1)  # three metrics and the times, at three learning rates
    assert all(picture["role"] == "img" for picture in pictures)
    labels = {picture["aria-label"] for picture in pictures}
    assert len(labels) == len(pictures)
    assert "Curves of val/accuracy against samples, lr = 0.3" in labels
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_the_page_says_what_was_asked_and_how(page):
    goal = "val/accuracy of 90 % after fewer samples than size = online, at lr = 0.1, 0.3 or 1?"
    assert f"Does size = 4096 or 16384 reach {goal}" in page.text
    assert "Subset: reuse epochs, batch_size 128" in page.text
    assert "Parity: dim 20, degree 6" in page.text
    assert "SGD" in page.text and "lr 0.1" not in page.text.split("Verdicts")[0]  # varied
    assert "data.size: 4096, 16384, online; model.optimizer.lr: 0.1, 0.3, 1" in page.text
    assert "svl fit \\ --config 'a b.yaml' \\ --runs here" in page.text
    assert "1.25 min" not in page.text and "75.2 s" in page.text
    assert f"numpy {np.__version__}" in page.text
    assert "max_steps: 2000" in page.text
    assert page.headings[:5] == ["nine", "Verdicts", "Curves", "val/accuracy", "norm ratio"]


def contrast(one, other):
    def luminance(colour):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return np.dot([0.2126, 0.7152, 0.0722], channels)

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_that_wcag_asks_for(nine):
    html = (nine / "report.html").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for block in re.search(r":root \{(.*?)\}.*?:root \{(.*?)\}", html, re.DOTALL).groups()
    )
    arms = [name for name in light if re.fullmatch("[0-9a-f]{6}", name)]
    assert {"e0a800", "1b4fa8"} < set(arms)
    assert {f"--{name}" for name in light} >= set(re.findall(r"var\((--[\w-]+)\)", html))
    for colours in (light, dark):
        assert colours.keys() == light.keys()
        texts = [*(f"{name}-text" for name in arms), "ink", "muted", "link", "faster", "slower"]
        assert all(contrast(colours[name], colours["page"]) >= 4.5 for name in texts)
        for verdict in ("faster", "slower"):
            assert contrast(colours[verdict], colours[f"{verdict}-tint"]) >= 4.5
    assert all(contrast(dark[name], dark["page"]) >= 3 for name in arms)


def test_dark_colours_keep_the_order_from_small_to_large():
    shades = ["".join(f"{round(255 * c):02x}" for c in RAMP(place / 10)[:3]) for place in range(11)]
    dark = palette(f"stroke: var(--{shade})" for shade in shades)
    lines = [contrast(dark[shade][1], "black") for shade in shades]
    assert lines == sorted(lines, reverse=True)


def test_equal_runs_make_equal_pages_without_torch_and_nothing_else_is_written(page, nine, tmp_path):
    before, names = (nine / "report.html").read_bytes(), {path.name for path in nine.iterdir()}
    program = "import sys; from svl.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", program, "report", str(nine), "--output", "deep/page.html"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("deep/page.html\nFalse\n", "")
    assert (tmp_path / "deep" / "page.html").read_bytes() == before
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
    assert {path.name for path in nine.iterdir()} == names


# Runs of all kinds --------------------------------------------------------------------------------------------------


def test_the_run_of_an_older_svl_whose_history_does_not_name_arms_makes_the_same_page(nine, tmp_path):
    folder = tmp_path / "nine" / nine.name
    shutil.copytree(nine, folder)
    rows = history.read(folder).drop(columns="arm")
    (folder / "history.parquet").unlink()
    history.append(folder, rows)
    history.finish(folder)
    assert "arm" not in history.read(folder)
    assert report.render([report.load(folder)]) == report.render([report.load(nine)])


def test_arms_given_by_name_are_arms_while_the_fit_runs(two_arms, tmp_path):
    arms = {"small": {"data.size": 4096}, "large": {"data.size": "online"}}
    changes = {"replicas": {"seeds": 8, "vary": None, "arms": arms}}
    rows = two_arms.assign(arm=two_arms["data.size"].map({4096: "small", "online": "large"}))
    path = make_run(tmp_path / "e" / "r", rows, ["data.size"], finished=False, **changes)
    assert [arm["settings"]["data.size"] for arm in report.load(path).summary["arms"]] == ["4096", "online"]


def test_a_fit_that_is_not_finished_is_reported_so_far(two_arms, tmp_path):
    rows = two_arms[two_arms["step"] <= 1300]
    run = report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"], finished=False))
    html = report.render([run])
    assert "not finished: step 1,300 of 2,000" in Page(html).text
    assert "The fit is not finished." in html
    assert run.summary == summary.summarise(rows.astype({"data.size": str}), ["data.size"])
    assert Page(html).text.count("Written when the fit ends.") == 2  # command, environment


def test_a_finished_fit_that_goes_on_is_not_reported_by_its_old_summary(two_arms, tmp_path):
    path = make_run(tmp_path / "e" / "r", two_arms[two_arms["step"] <= 500], ["data.size"])
    assert report.load(path).finished
    history.append(path, two_arms[two_arms["step"] > 500])
    run = report.load(path)
    assert not run.finished
    assert {arm["steps"] for arm in run.summary["arms"]} == {2000}


def test_interventions_and_what_else_has_names_are_part_of_the_question(curves_of, tmp_path):
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
    shown = Page(report.render([report.load(path)])).text
    for said in (
        "Phases: sizes [16, online]",
        "fresh: Online: batch_size 64",
        "noise: LabelNoise: rate 0.1; clip: ClipNorm: max_norm 2",
        "last: params layers.1.*",
    ):
        assert said in shown


def test_one_arm_of_one_seed_without_accuracy(curves_of, tmp_path):
    rows = curves_of({}, lambda _: 500, seeds=1, norm_ratio=False).drop(columns="val/accuracy")
    rows = rows.assign(**{"reference/ridge": 0.3, "train/constant": 1.0})
    path = make_run(tmp_path / "e" / "r", rows, [], target={"metric": "val/loss", "value": 0.1})
    shown = Page(report.render([report.load(path)]))
    assert "After how many samples does the network reach val/loss ≤ 0.1?" in shown.text
    assert "1 arm of 1 seed" in shown.text
    assert "Verdicts" not in shown.headings
    assert [tag for tag, _ in shown.elements].count("svl") == 0
    assert [tag for tag, _ in shown.elements].count("svg") == 2  # the loss and its times; what is constant is none
    assert len(shown.table("Last measurement")[0]) == 3


def test_many_metrics_are_drawn_from_every_family_and_the_rest_is_named(two_arms, tmp_path, monkeypatch):
    monkeypatch.setattr(report_pictures, "MOST_FIGURES", 4)
    columns = [f"{family}/{number}" for family in ("qk", "norm") for number in range(6)]
    rows = two_arms.assign(**{name: two_arms["norm_ratio"] * place for place, name in enumerate(columns, 1)})
    run = report.load(make_run(tmp_path / "e" / "r", rows, ["data.size"]))
    shown = Page(report.render([run]))
    labels = [label for label in shown.attributes("aria-label") if label.startswith("Curves of")]
    drawn = [label.split()[2] for label in labels]
    assert drawn == ["val/accuracy", "norm_ratio", "val/loss", "qk/0", "norm/0"]
    named = re.search(r"table below: ([^.]*)\.", shown.text)[1].split(", ")
    assert sorted(named) == sorted(set(columns) - set(drawn))
    finals = [
        name for rows in shown.tables["Last measurement, means over seeds with 95 % intervals"] for name in rows[0]
    ]
    assert {name.removesuffix(" %") for name in finals} == {"size", "val/accuracy", "val/loss", "norm_ratio", *columns}


def test_an_experiments_folder_is_all_its_measured_runs(nine, two_arms, svl, tmp_path):
    folder = tmp_path / "e"
    for name in ("20260102-000000-b", "20260101-000000-a"):
        make_run(folder / name, two_arms, ["data.size"])
    (folder / "20260103-000000-c").mkdir()
    (folder / "20260103-000000-c" / "config.yaml").write_text("experiment: e\n")
    outcome = svl(tmp_path, "report", "e", "e/20260102-000000-b")
    assert (outcome.status, outcome.out) == (0, "report.html\n")
    assert "20260103-000000-c" in outcome.err
    shown = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in shown.elements if tag == "a"]
    assert links == ["#run1", "#run2"]
    assert shown.headings[:2] == ["2 runs", "e"]
    assert shown.text.index("e/20260101-000000-a: finished") < shown.text.index("e/20260102-000000-b: finished")
    ids = shown.attributes("id")
    assert len(ids) == len(set(ids))


def test_what_a_user_named_is_text_and_not_markup(curves_of, tmp_path):
    name = "<script>alert('1 & 2')</script>"
    rows = curves_of({"data.size": [name, "online"]}, lambda _: 500, seeds=2, steps=200)
    path = make_run(tmp_path / "e" / "r", rows, ["data.size"], experiment=name)
    shown = Page(report.render([report.load(path)]))
    assert shown.headings[0] == name
    assert "script" not in {tag for tag, _ in shown.elements}


# What cannot be reported --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ("", ["report: got", "RUN", "svl report RUN [RUN ...] [--output FILE]"]),
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
def test_what_cannot_be_reported_is_one_line(two_arms, svl, tmp_path, words, fragments):
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


def test_a_target_that_was_never_measured_is_named(two_arms, tmp_path):
    changes = {"target": {"metric": "val/perplexity", "value": 2.0}}
    path = make_run(tmp_path / "e" / "r", two_arms, ["data.size"], finished=False, **changes)
    with pytest.raises(SettingError, match="val/perplexity"):
        report.load(path)


# In a browser -------------------------------------------------------------------------------------------------------


def browse(folder, page, *options):
    words = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ]
    words += ["--enable-logging=stderr", "--allow-file-access-from-files", *options, page.as_uri()]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_shows_it_on_a_phone_without_scrolling_sideways_or_complaining(page, nine, tmp_path):
    # Headless windows are 500 pixels wide at least; a frame is as wide as it is told to be.
    measuring = """<iframe id="phone" width="390" height="800" style="border: 0" src="PAGE"></iframe><script>
      onload = () => {
        const page = document.getElementById("phone").contentDocument
        const wide = [...page.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 390.5)
        const loose = wide.filter(e => !e.closest(".scroll, pre, svg"))
        const tall = [...page.querySelectorAll("svg")].filter(e => e.getBoundingClientRect().height > 100)
        document.title = [page.documentElement.scrollWidth, loose.length, tall.length].join()
      }
    </script>"""
    frame = tmp_path / "frame.html"
    frame.write_text(measuring.replace("PAGE", (nine / "report.html").as_uri()))
    done = browse(tmp_path, frame, "--dump-dom", "--virtual-time-budget=5000")
    assert "CONSOLE" not in done.stderr
    assert re.search("<title>(.*?)</title>", done.stdout)[1] == "390,0,12"
