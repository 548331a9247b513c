"""The TensorBoard log of a fit, read by TensorBoard itself, against the names of W&B and the history."""

import sys

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from svl.tensorboard import TensorBoardTracker

ARMS = ["--replicas.vary.data.size", "[32, online]", "--replicas.seeds", "3"]


@pytest.fixture
def words(tiny):
    return [*tiny, "--tracking", "tensorboard", *ARMS]


def read(run):
    log = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    return log.Reload()


def scalars(log):
    return {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def test_the_log_has_the_names_and_the_numbers_that_every_logger_gets(svl, words, tmp_path, monkeypatch):
    sent = []
    log_metrics = TensorBoardTracker.log_metrics

    def spy(tracker, metrics, step=None):
        sent.append(dict(metrics))
        log_metrics(tracker, metrics, step)

    monkeypatch.setattr(TensorBoardTracker, "log_metrics", spy)
    done = svl(tmp_path, *words)
    assert (done.status, done.err) == (0, "")
    found, log = scalars(read(done.path)), read(done.path)
    assert {"val/accuracy/size=32", "mean/val/loss", "success/size=online", "samples"} <= set(found)
    assert set(found) == {name for row in sent for name in row}
    for name, pairs in found.items():
        expected = [(int(row["step"]), row[name]) for row in sent if name in row]
        assert [step for step, _ in pairs] == [step for step, _ in expected]
        assert [value for _, value in pairs] == pytest.approx([value for _, value in expected], rel=1e-6, nan_ok=True)
    history = pd.read_parquet(done.path / "history.parquet")
    last = history[history["step"] == 20].groupby("data.size")["val/accuracy"].mean()
    assert found["val/accuracy/size=32"][-1][1] == pytest.approx(last["32"], rel=1e-6)
    assert "figures/curves" in log.Tags()["images"]
    assert {tag.partition("/")[0] for tag in log.Tags()["tensors"]} == {"config", "arms"}


def test_a_fit_that_goes_on_logs_each_step_once(svl, words, tmp_path):
    stopped = svl(tmp_path, *words, "--trainer.max_steps", "10", "--run_id", "some")
    assert stopped.status == 0, stopped.err
    done = svl(tmp_path, *words, "--run_id", "some", "--ckpt_path", "auto")
    assert done.status == 0, done.err
    whole = svl(tmp_path, *words, "--run_id", "whole")
    found, expected = scalars(read(done.path)), scalars(read(whole.path))
    assert [step for step, _ in found["step"]] == [0, 5, 10, 15, 20]
    assert found == expected
    assert (done.path / "history.parquet").read_bytes() == (whole.path / "history.parquet").read_bytes()


def test_none_keeps_nothing_but_the_run_and_changes_no_number(svl, words, tiny, tmp_path):
    logged = svl(tmp_path, *words)
    quiet = svl(tmp_path, *tiny, *ARMS, "--tracking", "none", "--wandb.mode", "offline")
    assert quiet.status == 0, quiet.err
    assert not (quiet.path / "wandb").exists() and not (quiet.path / "tensorboard").exists()
    assert (quiet.path / "history.parquet").read_bytes() == (logged.path / "history.parquet").read_bytes()


def test_a_figure_that_is_not_there_is_one_line(svl, words, tmp_path, monkeypatch):
    monkeypatch.setattr("svl.results.run_directory.RunDirectory.draw", lambda *_: None)
    done = svl(tmp_path, *words)
    assert done.status == 0 and done.err.count("\n") == 1
    assert done.err.startswith("TensorBoard: ") and "the figure can be found only in" in done.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tracking", "mlflow"], "tracking: got 'mlflow'; allowed: 'wandb', 'tensorboard', 'none'"),
        (["--trainer.logger", "false"], "tracking: got 'tensorboard'; allowed: left out where trainer.logger is given"),
    ],
)
def test_what_cannot_be_tracked_is_refused(svl, words, tmp_path, more, said):
    refused = svl(tmp_path, *words, *more)
    assert refused.status == 2 and refused.err.startswith(f"svl: error: {said}")
    assert not any(tmp_path.iterdir())


def test_without_tensorboard_one_line_says_how_to_install_it(svl, words, tmp_path, monkeypatch):
    monkeypatch.setattr("svl.extras.find_spec", lambda package: None)
    refused = svl(tmp_path, *words)
    assert refused.status == 2 and not any(tmp_path.iterdir())
    assert refused.err == (
        "svl: error: tracking: got 'no package tensorboard'; allowed: after pip install \"svl[tensorboard]\"\n"
    )
    assert "tensorboard" in sys.modules
