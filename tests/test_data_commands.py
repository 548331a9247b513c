"""One's own data from the command line: settings, what is told, and what is refused."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

BASE = [
    *("fit", "--experiment", "own", "--data", "Subset", "--data.size", "32", "--data.batch_size", "16"),
    *("--model.network", "MLP", "--model.network.width", "8", "--model.compile", "never"),
    *("--replicas.seeds", "2", "--trainer.max_steps", "6", "--trainer.log_every_n_steps", "3"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
LOSS = ["--target.metric", "val/loss", "--target.value", "0.1"]
MINE = """
import numpy as np
import pandas as pd


def xy(n=100):
    x = np.random.default_rng(0).normal(size=(n, 8)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def frame():
    x, y = xy()
    return pd.DataFrame(x).assign(y=y)


class Split(dict):
    pass


def splits():
    return Split(train=xy(), test=xy(30))


def next_tokens():
    tokens = np.cumsum(np.random.default_rng(0).integers(0, 3, (100, 9)), 1) % 11
    return tokens[:, :-1], tokens[:, 1:]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def fit(svl, folder, dataset, *words, loss="cross_entropy"):
    return svl(folder, *BASE, "--data.task", "Dataset", "--data.task.dataset", dataset, "--model.loss", loss, *words)


def summary(done):
    assert done.status == 0, done.err
    return json.loads((done.path / "summary.json").read_text())


def test_a_data_frame_is_a_table_and_what_was_decided_is_told(svl, folder):
    done = fit(svl, folder, "mine.frame")
    note = "the target is the column 'y' (target_columns names another)"
    assert summary(done)["data_notes"] == [note]
    assert f"data.task: {note}\n" in done.err
    named = fit(svl, folder, "mine.frame", "--data.task.target_columns", "y", "--data.task.standardise", "columns")
    assert "data_notes" not in summary(named)
    assert named.err == ""


def test_splits_bring_their_own_test_set(svl, folder):
    done = fit(svl, folder, "mine.splits")
    assert "(100 training items, 30 test items)" in summary(done)["data_digest"]


def test_two_classes_and_a_loss_of_signs(svl, folder):
    done = fit(svl, folder, "mine.xy", loss="logistic")
    assert done.status == 2
    assert done.err == (
        "svl: error: model.loss: got 'logistic'; allowed: cross_entropy (for Dataset), since targets are classes "
        "numbered from 0; or data.task.target_kind: sign, which gives targets for logistic\n"
    )
    assert not (folder / "runs").exists()
    summary(fit(svl, folder, "mine.xy", "--data.task.target_kind", "sign", loss="logistic"))


def test_files_are_named_on_the_command_line(svl, folder):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    pd.DataFrame(x, columns=list("abc")).assign(fate=y).to_csv(folder / "table.csv", index=False)
    pair = summary(fit(svl, folder, "[x.npy, y.npy]"))
    table = summary(fit(svl, folder, "table.csv", "--data.task.columns", "[a, b, c, fate]"))
    assert pair["data_digest"] == table["data_digest"]
    summary(fit(svl, folder, "table.csv", "--data.task.target_columns", "[a, b]", *LOSS, loss="squared"))


def test_next_tokens_train_a_transformer(svl, folder):
    words = ["--data.task.vocabulary", "11", "--model.network", "svl.models.Transformer", "--model.network.width", "8"]
    words += ["--model.network.heads", "2", "--model.network.depth", "1"]
    refused = fit(svl, folder, "mine.next_tokens", *words)
    assert refused.status == 2
    assert "target at each position; readout: all gives one output for each" in refused.err
    done = fit(svl, folder, "mine.next_tokens", *words, "--model.network.readout", "all")
    history = pd.read_parquet((summary(done) and done.path) / "history.parquet")
    first = history[history["step"] == 0]
    # Before training each of 11 tokens is about as probable.
    assert first["val/loss"].mean() == pytest.approx(np.log(11), abs=0.5)
    np.testing.assert_allclose(history["val/perplexity"], np.exp(history["val/loss"]), rtol=1e-4)


def test_classes_are_weighted_by_a_class_of_losses(svl, folder):
    words = ["--model.loss.class_weights", "balanced"]
    summary(fit(svl, folder, "mine.xy", *words, loss="CrossEntropy"))
    refused = fit(svl, folder, "mine.xy", "--model.loss.class_weights", "[1, 2, 3]", loss="CrossEntropy")
    assert refused.status == 2
    assert refused.err.startswith("svl: error: model.loss.class_weights: got [1.0, 2.0, 3.0]; allowed: 2 weights")


def test_a_single_text_is_split_or_refused_in_one_line(svl, folder):
    (folder / "one.txt").write_text("the cat sat on the mat " * 12)
    words = [*BASE, "--data.task", "Text", "--data.task.paths", "[one.txt]", "--model.loss", "cross_entropy"]
    words += ["--model.network", "svl.models.Transformer", "--model.network.readout", "all"]
    words += ["--model.network.heads", "2", "--model.network.width", "8", "--data.size", "20"]
    refused = svl(folder, *words)
    assert refused.status == 2
    assert refused.err.startswith("svl: error: data.task.length: got 128; allowed: below 28, because the corpus has")
    assert "(1 file, 276 bytes)" in summary(svl(folder, *words, "--data.task.length", "8"))["data_digest"]
