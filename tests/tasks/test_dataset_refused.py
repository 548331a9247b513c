"""Datasets and settings of the task ``Dataset`` that cannot be used are refused in one line."""

import inspect

import numpy as np
import pytest

from svl.errors import SettingError
from svl.tasks.dataset import Dataset


class Broken:
    def __len__(self):
        return 9

    def __getitem__(self, number):
        if number == 4:
            raise OSError("gone\naway")
        return [float(number)], number % 2


class Unsized:
    def __getitem__(self, number):
        return [1.0], 1


def make_nothing(size):
    raise RuntimeError(f"no {size}")


X, Y = np.arange(40.0).reshape(10, 4), np.arange(10) % 2
ROWS = [{"a": one, "b": label, "c": label} for one, label in zip(X, Y, strict=True)]
REFUSED = [
    ({"dataset": "nowhere.Data"}, "dataset", "import path .*ModuleNotFoundError"),
    ({"dataset": "sklearn.nothing"}, "dataset", "import path .*has no attribute 'nothing'"),
    ({"dataset": ""}, "dataset", "import path"),
    ({"dataset": "no file.npz"}, "dataset", "npz file that exists"),
    ({"dataset": "broken.npz"}, "dataset", "can be made with its arguments"),
    ({"dataset": "sklearn.datasets.load_files"}, "dataset", "can be made with its arguments .*container_path"),
    ({"dataset": make_nothing, "arguments": {"size": 3}}, "dataset", "RuntimeError: no 3"),
    ({"dataset": make_nothing, "arguments": [3]}, "arguments", "a mapping"),
    ({"dataset": make_nothing, "arguments": {3: 3}}, "arguments", "a mapping"),
    ({"arguments": {"size": 3}}, "arguments", "null: tuple is not called"),
    ({"dataset": "both.npz", "arguments": {"size": 3}}, "arguments", "null: both.npz is not called"),
    ({"dataset": "math.pi"}, "dataset", "with a length and items.*not float"),
    ({"dataset": 5}, "dataset", "with a length and items"),
    ({"dataset": Unsized()}, "dataset", "with a length and items"),
    ({"dataset": []}, "dataset", "with items"),
    ({"dataset": Broken()}, "dataset", "number 4 raises OSError: gone away"),
    ({"dataset": [*zip(X, Y, strict=True), (X[0, :3], 1)]}, "dataset", r"number 0 has \(4,\), number 10 \(3,\)"),
    ({"dataset": list(X)}, "dataset", "pairs .*number 0"),
    ({"dataset": [(1.0, 2, 3)] * 5}, "dataset", "pairs .*number 0"),
    ({"dataset": [([1.0], {"cat"}), ([2.0], {"dog"})]}, "dataset", "targets that are numbers"),
    ({"dataset": [(["a"], 0), (["b"], 1)]}, "dataset", "inputs that are numbers"),
    ({"dataset": (X, X.reshape(10, 2, 2))}, "dataset", "one number as the target"),
    ({"dataset": (X, Y[:-1])}, "dataset", "as many inputs as targets, not 10 and 9"),
    ({"dataset": (np.where(X == 13, np.nan, X), Y)}, "dataset", "inputs that are finite; those of number 3"),
    ({"dataset": (X, np.where(Y, np.inf, 0.5))}, "dataset", "targets that are finite; those of number 1"),
    ({"dataset": (X, np.zeros(10, int))}, "dataset", "two classes or more"),
    ({"dataset": (X[:1], Y[:1])}, "dataset", "two items or more"),
    ({"dataset": {"train": (X, Y), "test": (X, Y)}, "columns": ["train", "validation"]}, "columns", "null"),
    ({"dataset": {"data": X, "target": None}}, "dataset", "targets that are arrays of numbers"),
    ({"dataset": {"data": "text", "target": Y}}, "dataset", "inputs that are arrays of numbers"),
    ({"dataset": ROWS}, "columns", "two of a, b, c"),
    ({"dataset": [*ROWS, {"a": X[0]}], "columns": ["a", "b"]}, "columns", "item 10 has, not 'b'"),
    ({"columns": ["a"]}, "columns", "two names"),
    ({"columns": "ab"}, "columns", "two names"),
    ({"columns": ["a", 3]}, "columns", "two names"),
    ({"dataset": list(zip(X, Y, strict=True)), "columns": ["a", "b"]}, "columns", "null"),
    ({"shape": [3]}, "shape", r"4 numbers: inputs are \(4,\)"),
    ({"shape": [-1, 4]}, "shape", "at least 1"),
    ({"shape": []}, "shape", "at least 1"),
    ({"shape": 4}, "shape", "at least 1"),
    ({"shape": [True, 4]}, "shape", "at least 1"),
    *(({"standardise": value}, "standardise", "true or false, or columns") for value in (1, "rows")),
    *(({name: 1}, name, "true or false") for name in ("stratify", "drop_missing")),
    ({"per_position": 1}, "per_position", "true, false or null"),
    ({"target_kind": "classes"}, "target_kind", "class, number, sign .*did you mean 'class'"),
    ({"channels": "middle"}, "channels", "first, last"),
    ({"channels": "last"}, "channels", r"null: inputs are no images but of shape \(4,\)"),
    ({"target_columns": []}, "target_columns", "a name, a list of names"),
    ({"target_columns": "y"}, "target_columns", "null, because it is a pair"),
    ({"columns": ["x", "y"]}, "columns", "null, because it is a pair"),
    ({"dataset": (X * 0 + 3, Y)}, "standardise", "false"),
    ({"vocabulary": 0}, "vocabulary", "at least 1, or null"),
    ({"vocabulary": 40}, "vocabulary", "float64"),
    ({"dataset": (X.astype(int), Y), "vocabulary": 39}, "vocabulary", "from 0 to 39"),
    ({"dataset": (-X.astype(int), Y), "vocabulary": 40}, "vocabulary", "from -39 to 0"),
    ({"dataset": (X.astype(int), Y), "vocabulary": 40, "shape": [2, 2]}, "vocabulary", r"shape \(2, 2\)"),
    *(({"held_out": share}, "held_out", "above 0 and below 1") for share in (0.0, 1.0, -1, True, float("nan"), "half")),
    ({"test_arguments": {"n": 3}}, "test_arguments", "null without test"),
    ({"test": (X, Y), "test_arguments": {"n": 3}}, "test_arguments", "null: tuple is not called"),
    ({"test": (X[:, :3], Y)}, "test", r"inputs \(4,\), targets classes"),
    ({"test": (X, Y / 2)}, "test", "targets classes"),
    ({"test": "nowhere.Data"}, "test", "import path"),
]


@pytest.mark.parametrize(("settings", "key", "allowed"), REFUSED)
def test_settings_that_cannot_be_used_are_refused(tmp_path, monkeypatch, settings, key, allowed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "both.npz", x=X, y=Y)
    task = Dataset.__new__(Dataset)
    past_the_import_hook = inspect.unwrap(Dataset.__init__)
    with pytest.raises(SettingError, match=f"^{key}: got .*; allowed: .*{allowed}") as error:
        past_the_import_hook(task, **{"dataset": (X, Y), **settings})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
