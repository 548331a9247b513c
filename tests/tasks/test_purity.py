"""Tasks that are not functions of their key and index are refused before training."""

import pytest
import torch

from svl import random
from svl.errors import SettingError
from svl.tasks import Dataset, Facts, InContextRegression, LinearRegression, ModularAddition, Parity, SingleIndex, Task
from svl.tasks.purity import check_pure


class Mine(Task):
    """Gaussian inputs from their key and index; y their sum's sign."""

    input_shape = (3,)

    def examples(self, key, index):
        x = random.normals(key[:, None], index, 3)
        return x, x.sum(-1).sign()


class FromTorch(Mine):
    def examples(self, key, index):
        x = torch.randn(*index.shape, 3)
        return x, x.sum(-1).sign()


class FromTorchInTests(Mine):
    def test_examples(self, key, index):
        return FromTorch.examples(self, key, index)


class ByPlace(Mine):
    """The index is ignored: example number i of each batch is the same."""

    def examples(self, key, index):
        return super().examples(key, torch.arange(index.shape[1]).expand_as(index))


class ByReplica(Mine):
    """The key is ignored, and the replica's place is used."""

    def examples(self, key, index):
        return super().examples(random.key(torch.arange(len(key))), index)


class ByBatch(Mine):
    """Inputs are centred by the mean of their batch."""

    def examples(self, key, index):
        x, y = super().examples(key, index)
        return x - x.mean(1, keepdim=True), y


class Counting(Mine):
    """A state changes with each call."""

    calls = 0

    def examples(self, key, index):
        self.calls += 1
        x, y = super().examples(key, index)
        return x + self.calls, y


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (FromTorch(), "examples are the same each time they are called: .*svl.random"),
        (FromTorchInTests(), "test_examples are the same each time"),
        (Counting(), "examples are the same each time"),
        (ByPlace(), "examples depend on their key and index alone"),
        (ByReplica(), "examples depend on their key and index alone"),
        (ByBatch(), "examples depend on their key and index alone"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_examples_that_depend_on_anything_else_are_refused(task, message):
    with pytest.raises(SettingError, match=f"^data.task: got '{type(task).__name__}'; allowed: a task whose {message}"):
        check_pure(task)


@pytest.mark.parametrize(
    "task",
    [
        Mine(),
        Parity(10, 3),
        SingleIndex(10),
        LinearRegression(10),
        InContextRegression(4),
        ModularAddition(7),
        Facts(20),
        Dataset("sklearn.datasets.load_digits"),
    ],
    ids=lambda task: type(task).__name__,
)
def test_pure_tasks_pass(task):
    check_pure(task)


def test_a_fit_of_an_impure_task_is_refused_in_one_line(svl, tiny, tmp_path, monkeypatch):
    (tmp_path / "drawn.py").write_text(
        "import torch\nfrom svl.tasks import Task\n\n\n"
        "class Drawn(Task):\n    input_shape = (3,)\n\n    def examples(self, key, index):\n"
        "        x = torch.randn(*index.shape, 3)\n        return x, x.sum(-1).sign()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = tiny.index("--data.task")
    assert tiny[task + 2] == "--data.task.dim"
    words = [*tiny[: task + 1], "drawn.Drawn", *tiny[task + 6 :]]
    done = svl(tmp_path, *words)
    assert done.status == 2
    assert done.err.startswith("svl: error: data.task: got 'Drawn'; allowed: a task whose examples are the same")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
