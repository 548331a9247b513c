"""Figures whose fits begin with the weights of a fit before them."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml

from svl.errors import SettingError
from svl.reproduction import lock, paper_figure
from svl.reproduction.pretraining import Pretraining
from svl.results import weights

FIRST = {
    "experiment": "short",
    "data": {
        "class_path": "Online",
        "init_args": {
            "task": {"class_path": "ScratchpadAddition", "init_args": {"most_digits": 1, "room": 2, "base": 2}},
            "batch_size": 4,
            "test_size": 8,
        },
    },
    "model": {
        "network": {
            "class_path": "svl.models.Transformer",
            "init_args": {"width": 8, "depth": 1, "heads": 2, "causal": True, "readout": "all"},
        },
        "loss": "cross_entropy",
        "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.01}},
        "compile": "never",
    },
    "trainer": {"max_steps": 6, "log_every_n_steps": 3},
    "target": {"metric": "val/exact", "value": 0.9},
}
SECOND = {
    **FIRST,
    "experiment": "long",
    "replicas": {"seeds": 2, "arms": {"few": {"data.size": 4}, "many": {"data.size": "online"}}},
    "data": {
        "class_path": "Subset",
        "init_args": {
            **FIRST["data"]["init_args"],
            "task": {
                "class_path": "ScratchpadAddition",
                "init_args": {"fewest_digits": 2, "most_digits": 2, "base": 2},
            },
        },
    },
    "figure": {
        "title": "two stages",
        "claim": "none",
        "minutes": 1,
        "pretraining": {"config": "short.yaml", "settings": {"trainer.max_steps": 5, "trainer.log_every_n_steps": 5}},
        "tune": {"seeds": 4, "settings": {"model.optimizer.lr": [0.01, 0.02]}},
        "claims": [{"claim": "ahead", "arm": "few", "than": "many"}],
    },
}


@pytest.fixture
def figure(tmp_path, monkeypatch):
    """The config of a figure with two stages in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    Path("configs/kopiczko2026").mkdir(parents=True)
    Path("short.yaml").write_text(encoding="utf-8", data=yaml.safe_dump(FIRST))

    def write(**pretraining):
        content = json.loads(json.dumps(SECOND))
        content["figure"]["pretraining"] |= pretraining
        Path("configs/kopiczko2026/own.yaml").write_text(encoding="utf-8", data=yaml.safe_dump(content))
        return "kopiczko2026/own"

    return write


def test_every_seed_begins_with_the_weights_that_it_was_pretrained_to(figure, svl, tmp_path):
    done = svl(tmp_path, "reproduce", figure(), "--scale", "smoke")
    assert done.status == 0, done.err
    fits = json.loads((done.path / "result.json").read_text())["fits"]
    names = [fit["name"] for fit in fits]
    assert names == [
        "pre-training for 1 seeds from 100000 on",
        "rates (4 arms x 1 seeds)",
        "pre-training for 2 seeds from 0 on",
        "arms (2 arms x 2 seeds)",
    ]
    first, second = tmp_path / fits[2]["run"], tmp_path / fits[3]["run"]
    config = yaml.safe_load((second / "config.yaml").read_text())
    assert (tmp_path / config["model"]["init"]["run"]).resolve() == first.resolve()
    # Before the first step, a fit's test loss is that of the weights with which it begins.
    begun = weights.stacked(first)["head.weight"]
    assert begun.shape[0] == 2 and not torch.equal(begun[0], begun[1])
    again = svl(tmp_path, "reproduce", figure(), "--scale", "smoke")
    assert "6/6" not in again.err and again.status == 0
    assert json.loads((again.path / "result.json").read_text())["fits"] == fits


def test_the_commands_show_each_fit_once(figure):
    commands = paper_figure.read(figure()).commands()
    assert [command.split()[3] for command in commands] == [
        "short.yaml",
        "configs/kopiczko2026/own.yaml",
        "short.yaml",
        "configs/kopiczko2026/own.yaml",
    ]
    assert "--trainer.max_steps 5" in commands[0] and "--replicas.seeds 4" in commands[0]
    assert "model.init.run" in commands[1] and "model.init.run" in commands[3]


def test_what_the_weights_depend_on_is_frozen(figure, tmp_path):
    before = lock.digest(lock.content(paper_figure.read(figure())))
    assert lock.digest(lock.content(paper_figure.read(figure()))) == before
    changed = figure(settings={"trainer.max_steps": 4})
    assert lock.digest(lock.content(paper_figure.read(changed))) != before
    Path("short.yaml").write_text(encoding="utf-8", data=yaml.safe_dump({**FIRST, "trainer": {"max_steps": 7}}))
    assert lock.digest(lock.content(paper_figure.read(figure()))) != before


def test_figures_without_it_are_as_they_were():
    figure = paper_figure.read("liu2026/fig02a")
    assert figure.pretraining is None
    assert "pretraining" not in lock.content(figure)
    assert "pretraining" in lock.content(
        dataclasses.replace(figure, pretraining=Pretraining("configs/quickstart.yaml"))
    )


@pytest.mark.parametrize(
    ("pretraining", "key"),
    [
        ({"config": 3}, "figure.pretraining"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
        ({"setings": {}}, "figure.pretraining.setings"),
        ({"settings": [3]}, "figure.pretraining.settings"),
        ({"config": "arms.yaml"}, "figure.pretraining.config"),
    ],
)
def test_what_cannot_be_a_pretraining_is_refused(figure, pretraining, key):
    Path("arms.yaml").write_text(
        encoding="utf-8", data=yaml.safe_dump({**FIRST, "replicas": {"vary": {"data.size": [1, 2]}}})
    )
    with pytest.raises(SettingError) as caught:
        paper_figure.read(figure(**pretraining))
    assert key in str(caught.value) and "\n" not in str(caught.value)
