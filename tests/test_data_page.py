"""Each row of the page about data is built as printed."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from svl.losses import CrossEntropy
from svl.tasks import Dataset

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `(\{dataset: [^|]+\})` \|", PAGE, re.MULTILINE)
# The target's kind, number of outputs, and input shape of each row, in the order of the page.
MADE = [
    ("class", 10, (64,)),
    ("class", 3, (2,)),
    ("class", 2, (4,)),
    ("class", 2, (1, 8, 8)),
    ("class", 2, (4,)),
    ("class", 2, (5,)),
    ("class", 2, (2,)),
    ("class", 2, (5,)),
    ("vector", 2, (3,)),
    ("class", 3, (3,)),
    ("sign", 1, (5,)),
    ("number", 1, (1,)),
    ("class", 2, (3, 6, 5)),
    ("class", 10, (1, 8, 8)),
    ("class", 2, (6,)),
    ("class", 7, (6,)),
    ("number", 1, (6, 1)),
    ("class", 2, (4,)),
    ("class", 2, (5,)),
    ("class", 2, (5,)),
]
OWN_DATA = """
import numpy as np


class Rings:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        return np.random.default_rng(number).normal(size=2), number % 3


def arrays(count=60):
    x = np.random.default_rng(0).normal(size=(count, 4))
    return x, (x[:, 0] > 0).astype(int)


def splits():
    return {"train": arrays(), "test": arrays(20)}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the page names."""
    generator = np.random.default_rng(0)
    (tmp_path / "own_data.py").write_text(OWN_DATA)
    x, y = generator.normal(size=(60, 4)), np.arange(60) % 2
    tokens = generator.integers(0, 7, (60, 7))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "digits.npz", images=generator.random((60, 1, 8, 8)), digits=y, more=y)
    np.savez(tmp_path / "photos.npz", x=generator.integers(0, 256, (60, 6, 5, 3), np.uint8), y=y)
    np.savez(tmp_path / "tokens.npz", x=tokens[:, :6], y=y)
    np.savez(tmp_path / "next_tokens.npz", x=tokens[:, :6], y=tokens[:, 1:])
    curves = generator.normal(size=(60, 6, 1))
    np.savez(tmp_path / "curves.npz", x=curves, y=np.where(curves > 1, np.nan, curves)[..., 0])
    passengers = pd.DataFrame(
        {
            "age": generator.integers(1, 9, 60),
            "fare": generator.exponential(9, 60),
            "port": np.array(["C", "Q", "S"])[np.arange(60) % 3],
            "survived": y,
        }
    )
    passengers.to_csv(tmp_path / "passengers.csv", index=False)
    passengers.to_csv(tmp_path / "late.csv", index=False)
    passengers.mask((generator.random((60, 4)) < 0.1) & (passengers.columns != "survived")).to_csv(
        tmp_path / "holes.csv", index=False
    )
    pd.DataFrame(generator.normal(size=(60, 5)), columns=["a", "b", "c", "price", "rent"]).to_parquet(
        tmp_path / "houses.parquet"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_data", None)


@pytest.mark.parametrize("number", range(len(MADE)))
def test_a_row_makes_what_it_says(folder, number):
    assert len(ROWS) == len(MADE)
    task = Dataset(**yaml.safe_load(ROWS[number][1]))
    assert (task.target, task.output_dim, task.input_shape) == MADE[number], ROWS[number][0]
    assert task.per_position == ("at every position" in ROWS[number][0])


def test_each_kind_of_target_fits_the_losses_that_the_page_names():
    from svl.losses.names import LOSSES

    x = np.random.default_rng(0).normal(size=(60, 4))
    two = np.arange(60) % 2
    table = re.findall(r"^\| `(class|sign|number)` \| [^|]+ \| ([^|]+) \|", PAGE, re.MULTILINE)
    assert [kind for kind, _ in table] == ["class", "sign", "number"]
    for kind, losses in table:
        task = Dataset((x, x[:, 0] if kind == "number" else two), target_kind=kind)
        fitting = {name for name, loss in LOSSES.items() if loss().fits(task)}
        assert fitting == set(re.findall(r"`(\w+)`", losses))


def test_the_weights_of_the_page_are_those_of_its_class():
    block = next(
        block for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if "Cross" in block
    )
    loss = yaml.safe_load(block)["model"]["loss"]
    assert loss["class_path"] == CrossEntropy.__name__
    assert CrossEntropy(**loss["init_args"]).class_weights == "balanced"
