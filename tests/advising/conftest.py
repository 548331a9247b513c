"""A question of a few seconds, and its answer."""

import json
from pathlib import Path

import pytest

from svl.advising import question

TINY = {
    "experiment": "tiny",
    "data": {
        "class_path": "Subset",
        "init_args": {
            "task": {"class_path": "Parity", "init_args": {"dim": 8, "degree": 2}},
            "batch_size": 16,
            "test_size": 64,
        },
    },
    "model": {
        "network": {"class_path": "MLP", "init_args": {"width": 8, "depth": 2}},
        "optimizer": {"class_path": "SGD", "init_args": {"lr": 0.5}},
        "compile": "never",
    },
    "trainer": {"max_steps": 40, "log_every_n_steps": 10},
    "replicas": {"seeds": 2, "vary": {"data.size": [64, "online"]}},
    "target": {"metric": "val/accuracy", "value": 0.9},
}


@pytest.fixture(scope="session")
def config() -> str:
    """The tiny config as text, which stands for a file."""
    return json.dumps(TINY)


@pytest.fixture(scope="session")
def seconds():
    """Replaces the estimate of the time, which takes longer than the fits."""
    patch = pytest.MonkeyPatch()
    patch.setattr(question.Question, "_seconds", lambda self: 0.01)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def answered(svl, config, seconds, tmp_path_factory):
    """The command on the tiny config: its outcome, its folder and its advice."""
    folder = tmp_path_factory.mktemp("advise")
    outcome = svl(folder, "advise", config, "--steps", "8000")
    assert outcome.status == 0, outcome.err
    path = Path(folder) / outcome.out.splitlines()[-1]
    return outcome, path, json.loads((path / "advice.json").read_text(encoding="utf-8"))
