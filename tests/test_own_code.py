"""Errors of the user's own code are shown as the user's own traceback, without frames of libraries, and one line."""

import json
import sys
from pathlib import Path

import pytest

import svl as svl_package

MINE = """
import torch
from torch import nn

from svl.callbacks import Measurement
from svl.tasks import Task


class Bug(Task):
    input_shape = (4,)

    def __init__(self, dim: int = 4):
        self.dim = self.undefined  # here

    def examples(self, key, index):
        return torch.zeros(*index.shape, 4), torch.ones(index.shape)


class Forward(nn.Linear):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__(8, output_dim)

    def forward(self, x):
        return super().forward(x[..., :3])  # here


class Constructor(nn.Linear):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__(8, output_dim + undefined)  # here


class Measure(Measurement):
    metrics = ("mine",)

    def measure(self, module):
        raise RuntimeError("no measurement")  # here
"""
FILES = {
    "mine_own.py": MINE,
    "mine_needs.py": "import a_package_that_is_not_installed  # here\n\n\nclass Net:\n    pass\n",
    "mine_fails.py": "x = 1 / 0  # here\n\n\nclass T:\n    pass\n",
    "mine_syntax.py": "from torch import nn\nclass Net(nn.Module)\n    pass\n",
}
ENGINE = (
    str(Path(svl_package.__file__).parent) + "/",
    "/jsonargparse/",
    "/lightning/",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (
            "--model.network mine_needs.Net",
            2,
            "model.network: got 'mine_needs.Net'; allowed: a module that can be imported (mine_needs.py, line 1: "
            "ModuleNotFoundError: No module named 'a_package_that_is_not_installed')",
        ),
        (
            "--data.task mine_fails.T",
            2,
            "data.task: got 'mine_fails.T'; allowed: a module that can be imported (mine_fails.py, line 1: "
            "ZeroDivisionError: division by zero)",
        ),
        ("--data mine_fails.T", 2, "data: got 'mine_fails.T'; allowed: a module that can be imported"),
        ("--model.optimizer mine_needs.Net", 2, "model.optimizer: got 'mine_needs.Net'; allowed: a module"),
        ("--trainer.callbacks [mine_needs.Net]", 2, "trainer.callbacks: got 'mine_needs.Net'; allowed: a module"),
        ("--data.task mine_own.Bug", 1, "mine_own.py, line 13, in __init__: AttributeError: 'Bug' object has no "),
        ("--trainer.callbacks [mine_own.Measure]", 1, "mine_own.py, line 36, in measure: RuntimeError: no measurement"),
        ("--model.network mine_own.Constructor", 2, "model.network: got 'Constructor'; allowed: "),
        ("--model.network mine_own.Forward", 2, "model.network: got 'Forward'; allowed: "),
    ],
)
def test_the_users_own_traceback_then_one_line(svl, tiny, folder, words, status, line):
    done = svl(folder, *tiny, *words.split())
    traceback, _, last = done.err.rstrip("\n").rpartition("\n")
    assert done.status == status
    assert last.startswith(f"svl: error: {line}")
    assert traceback.startswith(f'Traceback (most recent call last):\n  File "{folder}')
    assert "# here" in traceback
    assert not any(name in traceback for name in ENGINE), traceback
    assert not (folder / "runs").exists()


def test_a_syntax_error_shows_its_line_and_place(svl, tiny, folder):
    done = svl(folder, *tiny, "--model.network", "mine_syntax.Net")
    first, *_, last = done.err.splitlines()
    assert done.status == 2
    assert first == f'  File "{folder}/mine_syntax.py", line 2'
    assert "    class Net(nn.Module)\n" in done.err and " ^\n" in done.err
    assert last == (
        "svl: error: model.network: got 'mine_syntax.Net'; allowed: a module that can be imported "
        "(mine_syntax.py, line 2: SyntaxError: expected ':')"
    )


def test_a_module_that_python_does_not_find_is_said_to_be_in_the_folder(svl, tiny, tmp_path):
    (tmp_path / "mine_here.py").write_text("from torch import nn\n")
    done = svl(tmp_path, *tiny, "--model.network", "mine_here.Net")
    assert done.status == 2 and done.err.count("\n") == 1
    assert done.err.endswith("; mine_here.py is in this folder, where Python does not look: set PYTHONPATH=.\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "mine_there.py").write_text("")
    (tmp_path / "below" / "config.yaml").write_text("model: {network: mine_there.Net}\n")
    done = svl(tmp_path, *tiny, "--config", "below/config.yaml")
    assert done.err.endswith("; mine_there.py is in below, where Python does not look: set PYTHONPATH=below\n")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mine_nowhere.Net", "there is no module 'mine_nowhere'"),
        ("mine_own.Bg", "the module mine_own has no 'Bg' (did you mean 'Bug'?)"),
        ("mine_own.Bug", "mine_own.Bug is not one"),
    ],
)
def test_a_class_that_is_not_there_is_one_line(svl, tiny, folder, name, reason):
    done = svl(folder, *tiny, "--model.network", name)
    assert done.status == 2 and done.err.count("\n") == 1
    assert done.err.startswith(f"svl: error: model.network: got '{name}'; allowed: ConvNet, MLP, ")
    assert done.err.endswith(f"; {reason}\n")


def test_an_error_of_svl_itself_keeps_its_whole_traceback(svl, tiny, tmp_path, monkeypatch):
    # A function of the standard library stands for one of svl that fails.
    monkeypatch.setattr("svl.cli.checks.check_experiment", json.loads)
    with pytest.raises(ValueError, match="Expecting value"):
        svl(tmp_path, *tiny)
