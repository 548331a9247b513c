"""``svl reproduce`` on the shipped figures, at the scale that only runs through them."""

import dataclasses
import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from svl.cli.explain import duration
from svl.errors import SettingError
from svl.reproduction import expected, paper_figure
from svl.reproduction.fit import Fit
from svl.reproduction.record import read
from svl.training.estimate import Estimate

ROOT = Path(__file__).parents[2]
FIGURES = list(paper_figure.known())
FIRST = "liu2026/fig02a"


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_runs(svl, tmp_path, name, monkeypatch):
    # What each fit draws of itself is tested elsewhere, and would take a good part of the time.
    monkeypatch.setattr("svl.results.figure.curves", lambda *_: Figure())
    done = svl(tmp_path, "reproduce", name, "--scale", "smoke")
    assert done.status == 0, done.err
    record = read(done.path)
    figure = paper_figure.read(name, "smoke")
    assert (record.name, record.scale, record.verdict) == (name, "smoke", "not judged")
    assert len(record.claims) == len(figure.claims) >= 1
    assert set(record.arms) == set(figure.arm_names())
    with Image.open(done.path / "figure.png") as image:
        assert image.width > 700


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("scale", paper_figure.SCALES)
def test_every_figure_says_what_it_claims_at_every_scale(name, scale):
    figure = paper_figure.read(name, scale)
    assert figure.title and figure.says and figure.claims
    assert scale == "smoke" or figure.minutes
    assert scale != "laptop" or figure.minutes <= 10


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_the_gallery_shows_it(svl, tmp_path):
    first = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke")
    fits = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/reproduce/fits/*/summary.json")}
    assert len(fits) == 2  # the rates' and the arms'
    again = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke", "--gallery", "--gallery_folder", "shown")
    assert again.status == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/reproduce/fits/*/summary.json")} == fits
    assert "step" in first.err and "step" not in again.err.replace("--trainer", "")
    page = (tmp_path / "shown" / "README.md").read_text()
    assert f"![{FIRST}, exploratory]({FIRST}/smoke/figure.png)" in page
    assert "svl reproduce liu2026/fig02a --scale smoke" in page
    assert {path.name for path in (tmp_path / "shown" / FIRST / "smoke").iterdir()} == {"figure.png", "result.json"}


@pytest.mark.slow
def test_fits_of_an_older_svl_whose_histories_do_not_name_arms_are_reused(svl, tmp_path):
    first = read(svl(tmp_path, "reproduce", FIRST, "--scale", "smoke").path)
    for fit in first.fits:
        table = tmp_path / fit["run"] / "history.parquet"
        pd.read_parquet(table).drop(columns="arm").to_parquet(table)
    again = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke")
    assert again.err.count("done before") == len(first.fits)
    second = read(again.path)
    assert (second.claims, second.arms, second.curves) == (first.claims, first.arms, first.curves)


def test_arms_with_equal_settings_are_trained_once_and_have_the_same_rows():
    arms = {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 1}}
    fit = Fit("some", "some.yaml", {}, arms, seeds=2, first_seed=0)
    assert fit.trained_arms == {"a": {"x": 1}, "b": {"x": 2}}
    assert json.loads(fit.words[-1]) == fit.trained_arms
    history = pd.DataFrame({"arm": ["b", "b", "a", "a"] * 2, "loss": range(8)})
    rows = {name: frame["loss"].tolist() for name, frame in fit.rows(history).items()}
    assert rows == {"a": [2, 3, 6, 7], "b": [0, 1, 4, 5], "c": [2, 3, 6, 7]}


@pytest.mark.slow
def test_each_fit_of_a_figure_also_runs_by_itself(svl, tmp_path):
    made = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke")
    fits = read(made.path).fits
    own = json.loads((tmp_path / fits[1]["run"] / "summary.json").read_text())
    words = shlex.split(fits[1]["command"])[1:]
    alone = svl(tmp_path, *words, "--wandb.mode", "disabled")
    assert alone.status == 0, alone.err
    assert json.loads((alone.path / "summary.json").read_text())["arms"] == own["arms"]


def test_rates_are_chosen_on_other_seeds_than_those_reported():
    for name in FIGURES:
        figure = paper_figure.read(name, "laptop")
        reported = set(range(figure.first_seed, figure.first_seed + figure.seeds))
        for grid in figure.grids:
            assert reported.isdisjoint(range(grid.first_seed, grid.first_seed + grid.seeds))


@pytest.mark.slow
def test_the_list_shows_every_figure_with_its_last_verdict(svl, tmp_path):
    svl(tmp_path, "reproduce", FIRST, "--scale", "smoke")
    told = svl(tmp_path, "reproduce", "--list")
    assert told.status == 0
    text = told.out.replace("\n", "")
    assert all(name.split("/")[1][:8] in text for name in FIGURES)


def test_a_dry_run_prints_the_commands_and_leaves_nothing(svl, tmp_path):
    told = svl(tmp_path, "reproduce", FIRST, "--dry-run")
    assert told.status == 0
    assert told.out.splitlines()[1].startswith("svl fit --config configs/liu2026/fig02a.yaml ")
    assert not any(tmp_path.iterdir())


def test_a_figure_can_be_explained_before_it_is_run(svl, tmp_path):
    told = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke", "--explain")
    assert told.status == 0
    title, heading, *rows, total = told.out.splitlines()
    figure = paper_figure.read(FIRST, "smoke")
    tuning, reported = figure.planned_fits()[""]
    assert (title.split(), heading.split()) == ([f"{FIRST},", "scale", "smoke"], ["fit", "replicas", "expected"])
    grid = figure.grids[0]
    assert [row.split()[-3:][0] for row in rows] == [str(2 * len(grid.points) * grid.seeds), str(2 * figure.seeds)]
    assert [row.startswith(fit.title) for row, fit in zip(rows, (tuning, reported), strict=True)] == [True, True]
    assert all(float(row.split()[-2]) > 0 for row in [*rows, total])
    assert told.err.splitlines() == [f"measuring {fit.title}" for fit in (tuning, reported)]
    assert not any(tmp_path.iterdir())


def test_weights_of_a_pretraining_are_counted_once(monkeypatch):
    asked = []

    def estimated(words):
        asked.append(words)
        return Estimate(0, 0, 0, training=60.0, measuring=1.0)

    monkeypatch.setattr(expected, "estimated", estimated)
    figure = paper_figure.read("kopiczko2026/fig01", "laptop")
    figure = dataclasses.replace(figure, fits={"long": {}, "short": {"trainer.max_steps": 8}})
    table = expected.expected(figure, lambda _: None)
    fits = [fit for fits in figure.planned_fits().values() for fit in fits]
    first = {figure.pretraining.fit(fit).command for fit in fits}
    assert len(first) < len(fits)
    assert len(asked) == len(first) + len({fit.command for fit in fits})
    assert str([*table.columns[2].cells][-1]) == duration(61.0 * len(asked))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["liu2026/fig02z"], "figure: got 'liu2026/fig02z'"),
        ([FIRST, "--scale", "huge"], "--scale: got 'huge'"),
        ([], "reproduce: got 'nothing'"),
        ([FIRST, "--seeds", "3"], "reproduce: got 'unrecognized arguments: --seeds 3'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(svl, tmp_path, words, said):
    refused = svl(tmp_path, "reproduce", *words)
    assert refused.status == 2
    assert refused.err.startswith(f"svl: error: {said}")
    assert refused.err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_gallery_is_not_written_over_another_page(svl, tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    refused = svl(tmp_path, "reproduce", FIRST, "--scale", "smoke", "--gallery", "--gallery_folder", ".")
    assert (refused.status, (tmp_path / "README.md").read_text()) == (2, "# Mine\n")
    assert refused.err.startswith("svl: error: --gallery_folder: got '.'")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("content", ["{", "{}", '{"seconds": "x"}'])
def test_a_result_that_cannot_be_read_is_none(svl, tmp_path, content):
    made = svl(tmp_path, "reproduce", "liu2026/corollary_2", "--scale", "smoke").path
    whole = json.loads((made / "result.json").read_text())
    assert read(made) is not None
    (made / "result.json").write_text(json.dumps(whole | json.loads(content)) if "x" in content else content)
    assert read(made) is None


def changed(tmp_path, **changes):
    """A figure of its own, with something changed under ``figure``."""
    content = yaml.safe_load((ROOT / "configs" / f"{FIRST}.yaml").read_text())
    content["figure"] |= changes
    path = tmp_path / "configs" / "liu2026" / "own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"claimes": []}, "figure.claimes"),
        ({"scales": {"tiny": {}}}, "figure.scales.tiny"),
        ({"scales": {"smoke": {"seed": 1}}}, "figure.scales.smoke.seed"),
        ({"arms": {"smal": {"data.size": 1}}}, "figure.arms.smal"),
        ({"tune": {"settings": {"model.optimizer.lr": 1}}}, "figure.tune.settings.model.optimizer.lr"),
        ({"tune": {"settings": {"model.optimizer.lr": [1]}, "first_seed": 0}}, "figure.tune.first_seed"),
        ({"tune": {"settings": {"model.optimizer.lr": [1]}, "seeds": 3}}, "figure.tune.seeds"),
        ({"tune": {"settings": {"model.optimizer.lr": [1]}, "fits": ["none"]}}, "figure.tune.fits"),
        ({"panels": [{"kind": "pie"}]}, "figure.panels.0.kind"),
        ({"panels": [{"kind": "grid"}], "tune": None}, "figure.panels.0.kind"),
        ({"claims": []}, "figure.claims"),
        ({"claims": 3}, "figure"),
        ({"fits": [1]}, "figure"),
        ({"scales": "none"}, "figure"),
        ({"scales": {"smoke": {"arms": {"small": None}}}}, "figure"),
        ({"minutes": "ten"}, "figure.minutes"),
        ({"deviations": "none"}, "figure.deviations"),
        ({"theory": "theorem_9"}, "figure.theory"),
        ({"theory": "theorem_1"}, "figure.claims.0"),
        ({"claims": [{"claim": "measured", "says": "x", "at": "y", "above": 0}]}, "figure.claims.0"),
        ({"claims": [{"claim": "ratio of best rates", "arm": "small", "of": "x", "over": "y"}]}, "figure.claims.0.of"),
        ({"panels": [{"arms": ["none"]}]}, "figure.panels.0.arms"),
        ({"claims": [{"claim": "faster", "arm": "small", "than": "none"}]}, "figure.claims.0"),
    ],
)
def test_a_figure_with_something_wrong_is_refused(monkeypatch, tmp_path, changes, key):
    changed(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError) as refused:
        paper_figure.read("liu2026/own", "smoke")
    assert refused.value.key == key
