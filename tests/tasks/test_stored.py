"""A fit resumes only on the data that it began with."""

import numpy as np
import pytest
import torch

from svl.data import Online, Subset
from svl.errors import SettingError
from svl.tasks import Dataset, Parity, Text

WORDS = [
    *("fit", "--experiment", "stored", "--run_id", "a", "--data", "Subset", "--data.task", "Dataset"),
    *("--data.task.dataset", "data.npz", "--data.size", "32", "--data.batch_size", "16"),
    *("--model.network", "MLP", "--model.network.width", "8", "--model.compile", "never"),
    *("--model.loss", "cross_entropy", "--replicas.seeds", "2"),
    *("--trainer.max_steps", "20", "--trainer.log_every_n_steps", "5"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
AGAIN = ["--ckpt_path", "auto"]


def store(folder, flipped=False, count=100):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    np.savez(folder / "data.npz", x=x, y=1 - y if flipped else y)


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_data_that_have_changed_are_refused_in_one_line(svl, tmp_path, command):
    store(tmp_path)
    begun = svl(tmp_path, *WORDS)
    assert begun.status == 0, begun.err
    files = {path: path.read_bytes() for path in begun.path.rglob("*") if path.is_file()}
    store(tmp_path, flipped=True)
    words = [command, *WORDS[1:], "--ckpt_path", "auto" if command == "fit" else "last"]
    done = svl(tmp_path, *words)
    now = Dataset(str(tmp_path / "data.npz")).digest
    assert done.status == 2
    assert done.err.startswith(f"svl: error: data.task.dataset: got '{now}'; allowed: ")
    assert "training targets and test targets have changed since; begin a new run" in done.err
    assert done.err.count("\n") == 1
    assert {path: path.read_bytes() for path in begun.path.rglob("*") if path.is_file()} == files
    store(tmp_path)
    assert svl(tmp_path, *words).status == 0


def test_data_of_another_size_are_refused_as_such(svl, tmp_path):
    store(tmp_path)
    assert svl(tmp_path, *WORDS).status == 0
    store(tmp_path, count=90)
    done = svl(tmp_path, *WORDS, *AGAIN)
    assert done.status == 2
    assert "data.task.dataset: got" in done.err
    assert "(72 training items, 18 test items)" in done.err
    assert "(80 training items, 20 test items)" in done.err


def test_a_checkpoint_without_a_digest_resumes(svl, tmp_path):
    store(tmp_path)
    begun = svl(tmp_path, *WORDS)
    path = begun.path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint.pop("Subset")["digest"] == Dataset(str(tmp_path / "data.npz")).digest
    torch.save(checkpoint, path)
    store(tmp_path, flipped=True)
    assert svl(tmp_path, *WORDS, *AGAIN).status == 0


def test_texts_have_a_digest_too(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name * 20)
    first = Online(Text([str(tmp_path)], length=8))
    saved = first.state_dict()
    (tmp_path / "d.txt").write_text("more" * 20)
    # In a process that has read them, the last few corpora are kept; another pattern is another one.
    later = Online(Text([str(tmp_path)], "*.tx?", length=8))
    with pytest.raises(SettingError, match=r"^data\.task\.paths: got .*4 files.*; allowed: .*3 files.*training text"):
        later.load_state_dict(saved)
    first.load_state_dict(saved)


def test_a_task_that_draws_its_examples_has_nothing_to_compare():
    data = Subset(Parity(10, 3), 64)
    assert data.state_dict() == {}
    data.load_state_dict({})


def test_the_digest_is_of_the_data_as_they_were_read():
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    task = Dataset((x, y))
    assert task.parts == Dataset((x, y), standardise=False).parts
    assert set(task.parts) == {"training inputs", "training targets", "test inputs", "test targets"}
    other = Dataset((np.where(x == x[7, 1], 0, x), y)).parts
    assert sum(other[name] != value for name, value in task.parts.items()) == 1
