"""A small fit of four arms by the Python API."""

import copy

import pytest

import svl

CONFIG = {
    "experiment": "api",
    "data": {
        "class_path": "Subset",
        "init_args": {
            "task": {"class_path": "Parity", "init_args": {"dim": 8, "degree": 2}},
            "size": 32,
            "batch_size": 16,
            "test_size": 64,
        },
    },
    "model": {"network": {"class_path": "MLP", "init_args": {"width": 8}}, "compile": "never"},
    "replicas": {"seeds": 2, "first_seed": 3, "vary": {"data.size": [32, 64], "model.optimizer.lr": [0.1, 0.5]}},
    "trainer": {"max_steps": 20, "log_every_n_steps": 5, "enable_progress_bar": False},
    "wandb": {"mode": "disabled"},
}


@pytest.fixture
def config():
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope="session")
def run(folder):
    """A run with snapshots, begun in another working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        callbacks = [{"class_path": "Snapshots"}, {"class_path": "NormRatio"}]
        return svl.fit(copy.deepcopy(CONFIG), trainer={"callbacks": callbacks}, run_id="first")
