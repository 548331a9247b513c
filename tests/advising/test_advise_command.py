"""The whole command on a fit of a fraction of a second: what it writes, what it recommends, what it refuses."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import yaml

from svl import load
from svl.advising.question import Question
from svl.advising.trial import trials
from svl.cli.fit import resolve
from svl.config_file import dump_yaml
from svl.results import history
from svl.results.identity import content_hash

ESTIMATE = Question._seconds


def test_it_prints_a_sentence_and_where_everything_is(answered):
    outcome, path, advice = answered
    lines = outcome.out.splitlines()
    assert lines[0] == advice["sentence"] and lines[0].startswith(("Repeat: ", "Nothing to gain: "))
    assert (path / "advice.png").is_file() and (path / "advice.svg").is_file()
    assert len(lines) == 4 and "svl fit --config" in lines[1]


def test_the_plan_divides_the_budget_on_standard_error(answered):
    outcome, _, advice = answered
    assert "round 1" in outcome.err and "confirmation" in outcome.err
    assert sum(advice["replicas"]) * 40 <= 8000
    assert sum(advice["shares"]) == pytest.approx(1, abs=0.01)


def test_every_round_and_the_confirmation_have_seeds_of_their_own(answered):
    _, path, advice = answered
    used = []
    for run in (path.parent / "fits").iterdir():
        replicas = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["replicas"]
        used.append(range(replicas["first_seed"], replicas["first_seed"] + replicas["seeds"]))
    starts = sorted({seeds.start for seeds in used})
    assert starts == advice["first_seeds"] and len(starts) == 4
    ends = [next(seeds.stop for seeds in used if seeds.start == start) for start in starts]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_fresh_data_have_as_many_rates_as_the_winner_in_every_round(answered):
    _, _, advice = answered
    for standings in advice["rounds"]:
        assert len({len(row["tried"]) for row in standings}) == 1
        assert any(row["family"] == "fresh" for row in standings)


def test_the_gain_follows_from_the_confirming_fits(answered):
    _, path, advice = answered
    rows = {}
    for run in (path.parent / "fits").iterdir():
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        if config["replicas"]["first_seed"] == advice["seeds"][0]:
            rows |= dict(iter(history.read(run).groupby("arm")))
    assert set(rows) == {advice["arm"], *advice["fresh"]}
    found = trials(rows, "val/accuracy", 0.9)
    for name in advice["fresh"]:
        if advice["by"] == "time":
            expected = found[name].time.mean() / found[advice["arm"]].time.mean()
        else:
            expected = (found[advice["arm"]].final - found[name].final).mean()
        assert advice["gains"][name]["value"] == pytest.approx(expected)
    shown = all(gain["low"] > advice["margin"] and gain["p"] <= 0.05 for gain in advice["gains"].values())
    assert (advice["recommendation"] == "repeat") == shown


def test_the_recommended_config_is_a_fit_of_the_confirmed_arm(answered, svl, tmp_path):
    """On a confirming seed the recommended config gives the history that the confirming run had."""
    _, path, advice = answered
    config = path / "recommended.yaml"
    words = ("--wandb.mode", "disabled", "--replicas.seeds", "2", "--replicas.first_seed", str(advice["seeds"][0]))
    outcome = svl(tmp_path, "fit", "--config", str(config), *words)
    assert outcome.status == 0, outcome.err
    mine = load(outcome.path).history
    chosen = advice["arm"] if advice["recommendation"] == "repeat" else advice["fresh"][0]
    for run in (path.parent / "fits").iterdir():
        rows = history.read(run)
        own = rows[(rows["arm"] == chosen) & rows["seed"].isin(mine["seed"]) & rows["step"].isin(mine["step"])]
        if len(own):
            break
    assert own["val/loss"].to_numpy() == pytest.approx(mine["val/loss"].to_numpy(), rel=1e-5)


def test_an_answered_question_is_answered_again_without_training(answered, svl, config, monkeypatch):
    outcome, _, _ = answered
    monkeypatch.setattr("svl.advising.fits.run", lambda *_: pytest.fail("a fit was trained again"))
    again = svl(outcome.folder, "advise", config, "--steps", "8000")
    assert again.out == outcome.out


def test_a_dry_run_prints_the_plan_and_writes_nothing(svl, config, tmp_path):
    outcome = svl(tmp_path, "advise", config, "--budget", "128e3", "--dry-run")
    assert outcome.status == 0 and "minutes here" in outcome.err and outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_stored_data_are_compared_with_the_whole_set(svl, seconds, tmp_path):
    words = ("--trainer.max_steps", "20", "--trainer.log_every_n_steps", "10", "--model.compile", "never")
    outcome = svl(tmp_path, "advise", "configs/digits/mlp.yaml", "--steps", "4000", *words)
    assert outcome.status == 0, outcome.err
    advice = json.loads((outcome.path / "advice.json").read_text(encoding="utf-8"))
    assert all(name.startswith("whole set") for name in advice["fresh"])
    sizes = {str(row["settings"].get("data.sizes")) for standings in advice["rounds"] for row in standings}
    assert "[1438]" in sizes and not any("online" in size for size in sizes)


@pytest.mark.slow
def test_a_question_that_is_stopped_and_killed_is_answered_alike(answered, config, tmp_path):
    outcome, path, advice = answered
    command = [sys.executable, "-m", "svl", "advise", config, "--steps", "8000"]
    # The same plan: the estimate of the time, on which nothing but the printed minutes depends, differs.
    kept = tmp_path / path.relative_to(outcome.folder) / "plan.json"
    kept.parent.mkdir(parents=True)
    kept.write_text((path / "plan.json").read_text(encoding="utf-8"), encoding="utf-8")
    fits = tmp_path / "runs" / "advise" / "fits"
    for number, sign in ((1, signal.SIGTERM), (4, signal.SIGKILL)):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while len(list(fits.glob("*"))) <= number and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(sign)
        assert process.wait() in (128 + sign, -sign)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / done.stdout.splitlines()[-1] / "advice.json").read_text(encoding="utf-8"))
    for key in ("sentence", "gains", "rounds", "settings", "reached", "fits"):
        assert again[key] == advice[key], key


LINEAR = {
    "data": {
        "class_path": "Subset",
        "init_args": {"task": {"class_path": "LinearRegression", "init_args": {"dim": 4}}},
    },
    "model": {"network": {"class_path": "MLP", "init_args": {"depth": 1}}, "loss": "squared"},
    "trainer": {"max_steps": 100},
}
PHASES = "{labels: {class_path: Labels, init_args: {kind: random, phases: [1]}}}"
REFUSED = {
    "no budget": ((), "advise: got 'no budget'"),
    "two budgets": (("--budget", "1e6", "--steps", "1e4"), "advise: got '--samples and --steps'"),
    "no number": (("--budget", "many"), "--budget: got 'many'; allowed: a number above 0"),
    "negative": (("--minutes", "-1"), "--minutes: got '-1'"),
    "a margin below 1": (
        ("--steps", "8000", "--margin", "0.9"),
        "--margin: got '0.9'; allowed: a number of at least 1",
    ),
    "too small": (("--steps", "800"), "--steps: got '800'; allowed: at least"),
    "full batches": (("--steps", "8000", "--data", "FullBatch", "--data.size", "64"), "data: got 'FullBatch'"),
    "batches by size": (("--steps", "8000", "--data.batch_ratio", "0.5"), "data.batch_ratio: got 0.5"),
    "phases of labels": (
        ("--steps", "8000", "--data.interventions", PHASES),
        "data.interventions.labels.phases: got [1]",
    ),
    "another axis": (
        ("--steps", "8000", "--replicas.vary.model.optimizer.momentum", "[0.0, 0.9]"),
        "replicas.vary.model.optimizer.momentum: got [0.0, 0.9]",
    ),
    "too few steps": (("--steps", "8000", "--trainer.max_steps", "1"), "trainer.max_steps: got 1"),
    "no such setting": (("--steps", "8000", "--model.optimizer.rate", "1"), "model.optimizer.rate"),
    "a stray word": (("--steps", "8000", "again"), "advise: got 'again'"),
}


@pytest.mark.parametrize("words", list(REFUSED))
def test_what_cannot_be_answered_is_refused_in_one_line_and_leaves_nothing(svl, config, seconds, tmp_path, words):
    given, expected = REFUSED[words]
    outcome = svl(tmp_path, "advise", config, *given)
    assert outcome.status == 2 and outcome.out == ""
    assert outcome.err.count("\n") == 1 and expected in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_task_without_the_target_is_refused(svl, tmp_path, monkeypatch):
    monkeypatch.setattr(Question, "_seconds", ESTIMATE)
    outcome = svl(tmp_path, "advise", dump_yaml(LINEAR), "--steps", "30000")
    assert outcome.status == 2 and "target.metric: got 'val/accuracy'; allowed: val/loss" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_config_without_a_file_is_refused(svl, tmp_path):
    outcome = svl(tmp_path, "advise", "nothing.yaml", "--steps", "30000")
    assert outcome.status == 2 and "nothing.yaml" in outcome.err


def test_the_configs_of_the_fits_can_be_run_as_they_are_printed(answered):
    outcome, path, advice = answered
    names = {run.name for run in (path.parent / "fits").iterdir()}
    with contextlib.chdir(outcome.folder):
        hashes = {content_hash(resolve(shlex.split(command)[1:])) for command in advice["fits"]}
    assert hashes == names
