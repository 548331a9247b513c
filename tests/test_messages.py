"""Messages that name the key, what was given and what is allowed; and words that mean what they say."""

import os
import subprocess
import sys

import pytest
import yaml

from svl.cli.arguments import prepare
from svl.config_file import load_yaml, whole_number

MINE = "import numpy as np\n\n\ndef xy():\n    return np.zeros((20, 3), 'float32'), np.arange(20) % 2\n"
SHOWN = "--print_config"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine_xy.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine_xy", None)


def resolved(done):
    assert done.status == 0, done.err
    return yaml.safe_load(done.out)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data.task.vocabulary", "null", None),
        ("data.task.columns", "null", None),
        ("data.task.arguments", "{a: null, b: [null, 1.5, 'x, y']}", {"a": None, "b": [None, 1.5, "x, y"]}),
        ("data.task.standardise", "false", False),
        ("data.task.held_out", "1e-1", 0.1),
    ],
)
def test_a_value_on_the_command_line_is_what_it_is_in_a_config(svl, folder, key, value, expected):
    words = ["fit", "--data", "Online", "--data.task", "Dataset", "--data.task.dataset", "mine_xy.xy"]
    task = resolved(svl(folder, *words, f"--{key}", value, SHOWN))["data"]["init_args"]["task"]["init_args"]
    assert task[key.rpartition(".")[2]] == expected
    task = resolved(svl(folder, *words, f"--{key}={value}", SHOWN))["data"]["init_args"]["task"]["init_args"]
    assert task[key.rpartition(".")[2]] == expected


def test_null_is_refused_where_a_text_is_needed(svl, tiny, tmp_path):
    done = svl(tmp_path, *tiny, "--experiment", "null")
    assert (done.status, done.err) == (2, "svl: error: experiment: got null; allowed: text\n")
    assert resolved(svl(tmp_path, *tiny, "--run_id", "null", SHOWN))["run_id"] is None
    done = svl(tmp_path, *tiny, "--trainer.max_steps", "null")
    assert (done.status, done.err) == (2, "svl: error: trainer.max_steps: got null; allowed: a whole number\n")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e3", 1000),
        ("2.5e4", 25_000),
        ("2.55e1", None),
        ("1e-3", None),
        ("9007199254740993e0", None),
        ("12e3456789012", None),  # as a run's id may look, of which a decimal number overflows
        ("1e99999999999999999999", None),
        ("0e3456789012", 0),
        ("run", None),
    ],
)
def test_the_whole_number_that_a_text_stands_for(text, number):
    assert whole_number(text) == number
    loaded = load_yaml(f"id: {text}")["id"]
    assert (isinstance(loaded, int) and loaded == number) if number is not None else not isinstance(loaded, int)


def test_a_run_id_may_look_like_a_large_number(svl, tiny, tmp_path):
    settings = resolved(svl(tmp_path, *tiny, "--run_id", "123e45678901", SHOWN))
    assert settings["run_id"] == "123e45678901"


def test_a_whole_number_can_be_in_scientific_notation(svl, tiny, tmp_path):
    words = ["--trainer.max_steps", "1e2", "--data.size=2.5e1", "--model.network.depth", "2e0", "--experiment", "1e3"]
    settings = resolved(svl(tmp_path, *tiny, *words, SHOWN))
    assert settings["trainer"]["max_steps"] == 100
    assert settings["data"]["init_args"]["size"] == 25
    assert settings["model"]["network"]["init_args"]["depth"] == 2
    assert settings["experiment"] == "1e3"
    (tmp_path / "scientific.yaml").write_text("trainer: {max_steps: 5e1}\nmodel: {optimizer: {init_args: {lr: 1e0}}}\n")
    settings = resolved(svl(tmp_path, *tiny, "--config", "scientific.yaml", SHOWN))
    assert settings["trainer"]["max_steps"] == 50
    assert repr(settings["model"]["optimizer"]["init_args"]["lr"]) == "1.0"


def test_the_config_is_named_whose_value_a_word_replaces(svl, tiny, tmp_path):
    (tmp_path / "broken.yaml").write_text("trainer: {max_steps: 5.5}\n")
    done = svl(tmp_path, *tiny, "--config", "broken.yaml", "--trainer.max_steps", "10")
    assert done.err == "svl: error: trainer.max_steps: got 5.5; allowed: a whole number (in broken.yaml)\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("trainer: {max_steps: 5}\nexperiment: x\ntrainer: {max_steps: 6}\n", "line 3: the key 'trainer' stands here"),
        ("trainer:\n  max_steps: 5\n  max_steps: 6\n", "line 3: the key 'max_steps' stands here again, after line 2"),
    ],
)
def test_a_key_that_stands_twice_is_refused(svl, tiny, tmp_path, content, reason):
    (tmp_path / "twice.yaml").write_text(content)
    done = svl(tmp_path, *tiny, "--config", "twice.yaml")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"svl: error: --config: got 'twice.yaml'; allowed: a YAML file ({reason}")


def test_a_key_of_a_merged_mapping_can_be_replaced():
    assert load_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("{b: [2]}", {"a": [1], "b": [2]}),
        ("{a: [3], b: [2]}", {"a": [3], "b": [2]}),
        ("{a: null, b: [2]}", {"b": [2]}),
        ("null", {}),
    ],
)
def test_varied_settings_of_two_configs_are_merged(tmp_path, second, expected):
    words = ["fit"]
    for name, vary in (("one", "{a: [1]}"), ("two", second)):
        (tmp_path / name).write_text(f"replicas: {{vary: {vary}}}\n")
        words += ["--config", str(tmp_path / name)]
    prepared = prepare(words).words
    assert load_yaml(prepared[prepared.index("--replicas.vary") + 1]) == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "--model.schedules.a CosineAnnealingLR",
            "model.schedules.a.T_max: got nothing; allowed: a value; this setting",
        ),
        (
            "--model.schedules.a ReduceLROnPlateau",
            "model.schedules.a: got 'ReduceLROnPlateau'; allowed: a schedule that ",
        ),
        ("--model.optimizer torch.optim.Adam", "model.optimizer: got 'torch.optim.Adam'; allowed: Adam, AdamW, "),
        ("--trainer.gradient_clip_val 1", "trainer.gradient_clip_val: got '1'; allowed: none; use "),
    ],
)
def test_what_is_wrong_and_what_to_use(svl, tiny, tmp_path, words, line):
    done = svl(tmp_path, *tiny, *words.split())
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"svl: error: {line}"), done.err


def test_settings_of_lightning_name_their_counterparts(svl, tiny, tmp_path):
    assert "ClipNorm" in svl(tmp_path, *tiny, "--trainer.gradient_clip_val", "1").err
    clip = "--model.interventions.clip ClipNorm --model.interventions.clip.max_norm 1.0"
    assert svl(tmp_path, *tiny, *clip.split(), SHOWN).status == 0
    assert svl(tmp_path, *tiny, "--seed_everything", "1").err.endswith(" (in svl: replicas.first_seed)\n")


def test_the_help_of_a_class_says_what_it_does(svl, tmp_path):
    done = svl(tmp_path, "fit", "--trainer.callbacks.help", "NormRatio")
    assert done.status == 0
    assert "``norm_ratio`` = |a|_F / |W|_F" in done.out
    assert "--model.network.width WIDTH" in svl(tmp_path, "fit", "--model.network.help", "MLP").out


def test_a_reader_that_ends_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from svl.cli import main; sys.exit(main(['theory', '--list']))"
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
