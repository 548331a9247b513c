"""What the page about extending prints does what it says."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
QUIET = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
SECTIONS = dict(re.findall(r"^## An? (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def blocks(language, text=PAGE):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with every file of the page under the name in its first line, and Python looks there."""
    files = {}
    for block in blocks("python") + blocks("yaml"):
        named = re.match(r"# ([\w.]+)\n", block)
        if named:
            files[named[1]] = files.get(named[1], "") + block
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert blocks("sh")[0] == "export PYTHONPATH=.\n"
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mypackage", None)


@pytest.fixture
def fit(svl, folder):
    """Runs a section's command as printed; returns the history's rows of the last step."""

    def run(section, *more, number=0):
        command = blocks("sh", SECTIONS[section])[number]
        name, *words = shlex.split(command)
        assert name == "svl"
        done = svl(folder, *words, *QUIET, *more)
        assert done.status == 0, done.err
        history = pd.read_parquet(done.path / "history.parquet")
        return history, history[history["step"] == history["step"].max()]

    return run


def by_arm(rows, column, metric="val/accuracy"):
    return rows.groupby(column)[metric].mean().tolist()


@pytest.mark.slow
def test_a_task_is_learned(fit):
    _, last = fit("task")
    small, large = by_arm(last.assign(size=last["data.size"].astype(str)), "size")
    assert large > 0.95
    assert 0.75 < small < 0.93


@pytest.mark.slow
def test_a_dataset_is_learned_and_more_of_it_is_better(fit):
    _, last = fit("dataset")
    accuracy = sorted(by_arm(last.assign(size=last["data.size"].astype(str)), "size"))
    assert accuracy[-1] > 0.95
    assert accuracy[0] < accuracy[-1] - 0.03


@pytest.mark.slow
def test_the_one_line_for_a_dataset_fits_into_a_config(svl, folder):
    line = next(block for block in blocks("yaml", SECTIONS["dataset"]) if "load_digits" in block)
    config = yaml.safe_load((folder / "rings.yaml").read_text())
    config["data"]["init_args"] |= yaml.safe_load(line)
    (folder / "digits.yaml").write_text(yaml.safe_dump(config))
    done = svl(folder, "fit", "--config", "digits.yaml", "--replicas.seeds", "1", "--trainer.max_steps", "200", *QUIET)
    assert done.status == 0, done.err
    assert pd.read_parquet(done.path / "history.parquet")["val/accuracy"].max() > 0.9


@pytest.mark.slow
def test_a_network_learns_the_digits(fit):
    history, last = fit("network", "--trainer.max_steps", "200", "--replicas.seeds", "2")
    assert history["val/accuracy"].min() < 0.3
    assert last["val/accuracy"].max() > 0.9


@pytest.mark.slow
def test_a_loss_learns_the_task(fit):
    history, last = fit("loss")
    # Outputs near 0 have |e| = 1 > delta = 0.5: the loss is about 0.5 (1 - 0.25).
    assert history.loc[history["step"] == 0, "val/loss"].mean() == pytest.approx(0.375, abs=0.05)
    small, large = by_arm(last.assign(size=last["data.size"].astype(str)), "size")
    assert large > 0.95
    assert small < large - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["LARS", "Adagrad"])
def test_an_optimizer_learns_at_both_rates(fit, number):
    history, last = fit("optimizer", number=number)
    slow, fast = by_arm(history[history["step"] == 20], "model.optimizer.lr")
    assert fast > slow + 0.05
    is_small = last["data.size"].astype(str) == "64"
    assert min(by_arm(last[~is_small], "model.optimizer.lr")) > 0.9
    assert 0.7 < max(by_arm(last[is_small], "model.optimizer.lr")) < 0.95


@pytest.mark.slow
def test_a_strategy_that_grows_learns_more(fit):
    _, last = fit("strategy")
    small, grown, large = by_arm(last, "data.rate")
    assert min(grown, large) > 0.97
    assert small < 0.9


def test_a_callback_measures_every_replica(fit):
    history, _ = fit("callback", "--trainer.max_steps", "40")
    assert history["weight_norm"].gt(0).all()
    assert history["weight_norm"].nunique() > 8


@pytest.mark.slow
def test_an_intervention_makes_learning_harder(fit):
    _, last = fit("intervention")
    clean, erased = by_arm(last, "data.interventions.erasure.rate")
    assert clean > erased + 0.02


def test_a_metric_of_one_s_own_and_one_of_torchmetrics_are_measured(fit):
    history, _ = fit("metric", "--trainer.max_steps", "40")
    assert history["val/confidence"].between(0.5, 1).all()
    assert history["val/auroc"].between(0, 1).all() and history["val/auroc"].nunique() > 8


def test_the_script_with_a_plain_trainer_has_the_numbers_of_the_command_line(svl, folder, monkeypatch, capsys):
    assert blocks("sh", PAGE.split("## A fit without the command line")[1]) == ["python plain.py\n"]
    monkeypatch.chdir(folder)
    # The tips that Lightning logs at the start have nothing to do with the script.
    measured = runpy.run_path("plain.py")["module"].measured
    assert capsys.readouterr().out.splitlines()[-1].startswith("{'train/loss': [")
    table = pd.read_csv(next(folder.glob("logs/**/metrics.csv")))
    assert table["val/auroc/size=64"].notna().sum() == 4
    words = [
        *("fit", "--config", "majority.yaml", "--data.task.dim", "15"),
        *("--model.loss", "mypackage.Huber", "--model.loss.delta", "0.5", "--trainer.log_every_n_steps", "50"),
        *("--trainer.callbacks", "[mypackage.WeightNorm]", "--data.batch_size", "128"),
        *("--model.metrics", "{auroc: torchmetrics.classification.BinaryAUROC, confidence: mypackage.Confidence}"),
    ]
    words += ["--model.optimizer", "mypackage.LARS", "--model.optimizer.lr", "0.03"]
    done = svl(folder, *words, *QUIET)
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    last = history[history["step"] == 200]
    for name, values in measured.items():
        assert last[name].tolist() == values.tolist(), name
