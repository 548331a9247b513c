"""After a fit: measuring its checkpoint, training longer, and training its config again."""

import pandas as pd
import pytest
import yaml


@pytest.fixture(autouse=True)
def sketched(monkeypatch):
    from svl.results import figure

    monkeypatch.setattr(figure, "curves", lambda *settings: None)
    monkeypatch.setattr(figure, "save", lambda drawn, path: path.parent.mkdir(exist_ok=True))


@pytest.fixture
def run(svl, tiny, tmp_path):
    """A finished run without callbacks, and the words that name its checkpoint."""
    done = svl(tmp_path, *tiny, "--trainer.callbacks", "null", "--run_id", "a")
    assert done.status == 0, done.err
    return done.path, ["--ckpt_path", str(done.path / "checkpoints" / "last.ckpt")]


def test_a_checkpoint_is_measured_by_callbacks_that_the_fit_had_not(svl, run, tmp_path):
    path, checkpoint = run
    done = svl(tmp_path, "validate", "--config", str(path / "config.yaml"), *checkpoint)
    assert "norm_ratio" not in done.out
    done = svl(
        tmp_path,
        "validate",
        "--config",
        str(path / "config.yaml"),
        *checkpoint,
        "--trainer.callbacks",
        "[NormRatio]",
    )
    assert (done.status, done.err) == (0, "")
    assert "norm_ratio" in done.out.splitlines()[0]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_needs_no_config(svl, run, tmp_path, command):
    path, checkpoint = run
    with_config = svl(tmp_path, command, "--config", str(path / "config.yaml"), *checkpoint)
    without = svl(tmp_path, command, *checkpoint)
    assert (without.status, without.err) == (0, "")
    assert without.out == with_config.out


def test_a_longer_fit_equals_one_that_was_long_from_the_start(svl, tiny, run, tmp_path):
    path, checkpoint = run
    done = svl(tmp_path, "fit", *checkpoint, "--trainer.max_steps", "40", "--trainer.callbacks", "[NormRatio]")
    assert done.status == 0
    assert done.err.startswith(f"svl: {path} is resumed with trainer.callbacks [{{class_path: svl.callbacks.NormRatio")
    assert done.err.endswith(" in place of none; trainer.max_steps 40 in place of 20\n")
    assert done.path == path
    long = svl(tmp_path, *tiny, "--trainer.max_steps", "40")
    expected = pd.read_parquet(long.path / "history.parquet")
    history = pd.read_parquet(path / "history.parquet")
    pd.testing.assert_frame_equal(history.drop(columns="norm_ratio"), expected.drop(columns="norm_ratio"))
    later = history["step"] > 20
    assert history["norm_ratio"].notna().equals(later)
    assert history["norm_ratio"][later].equals(expected["norm_ratio"][later])
    settings = yaml.safe_load((path / "config.yaml").read_text())
    assert settings["trainer"]["max_steps"] == 40
    assert (settings["run_id"], settings["ckpt_path"]) == ("a", None)


def test_other_threads_and_loggers_are_told_and_other_numbers_refused(svl, run, tmp_path):
    path, checkpoint = run
    done = svl(tmp_path, "fit", *checkpoint, "--model.threads", "2", "--trainer.logger", "false")
    assert done.status == 0
    assert done.err == (
        f"svl: {path} is resumed with model.threads 2 in place of none; trainer.logger false in place of none\n"
    )
    before = (path / "config.yaml").read_text()
    for words, line in (
        ("--trainer.max_steps 10", "trainer.max_steps: got 10; allowed: at least 20, as in "),
        ("--model.optimizer.lr 0.3", "model.optimizer.lr: got 0.3; allowed: 0.1, as in "),
        ("--trainer.log_every_n_steps 4", "trainer.log_every_n_steps: got 4; allowed: 5, as in "),
    ):
        done = svl(tmp_path, "fit", *checkpoint, *words.split())
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert done.err.startswith(f"svl: error: {line}")
    assert (path / "config.yaml").read_text() == before


def test_a_fit_whose_sets_depend_on_its_length_cannot_become_longer(svl, tiny, tmp_path):
    words = [word for word in tiny if word not in ("--data.size", "64", "--data.test_size")]
    phases = ["--data", "Phases", "--data.sizes", "[0.2, 0.5]", "--data.durations", "[10]", "--data.task.dim", "12"]
    done = svl(tmp_path, *words, *phases)
    assert done.status == 0, done.err
    checkpoint = ["--ckpt_path", str(done.path / "checkpoints" / "last.ckpt"), "--trainer.max_steps", "40"]
    refused = svl(tmp_path, "fit", *checkpoint)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith("svl: error: trainer.max_steps: got 40; allowed: 20, as long as the strategy's ")


def test_the_config_of_a_named_run_is_trained_again_in_a_new_directory(svl, run, tmp_path):
    path, _ = run
    again = svl(tmp_path, "fit", "--config", str(path / "config.yaml"))
    assert (again.status, again.err) == (0, "")
    assert again.path.parent == path.parent and again.path != path
    assert (again.path / "history.parquet").read_bytes() == (path / "history.parquet").read_bytes()
