"""The JSON schema of a config, by a validator of JSON schemas, against the shipped configs and the parser."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from svl.cli.fit import resolve, setting_parser
from svl.cli.json_schema import JsonSchema
from svl.config_file import dump_yaml, read_config
from svl.errors import SettingError

ROOT = Path(__file__).parents[1]
CONFIGS = [path for path in sorted(ROOT.glob("configs/**/*.yaml")) if path.parent.name != "sweeps"]
SMALL = {
    "experiment": "small",
    "replicas": {"seeds": 2, "vary": {"data.size": [64, "online"]}},
    "data": {
        "class_path": "Subset",
        "init_args": {
            "task": {"class_path": "Parity", "init_args": {"dim": 8, "degree": 2}},
            "size": 64,
            "batch_size": 16,
            "interventions": {"noise": {"class_path": "LabelNoise", "init_args": {"rate": 0.1}}},
        },
    },
    "model": {
        "network": {"class_path": "MLP", "init_args": {"width": 8}},
        "optimizer": {"class_path": "SGD", "init_args": {"lr": 0.1}},
        "groups": {"input": {"params": "layers.0.*", "lr": 0.3}},
        "measure_at": "logarithmic",
    },
    "trainer": {
        "max_steps": 10,
        "callbacks": ["NormRatio", {"class_path": "EarlyStopping", "init_args": {"monitor": "mean/val/loss"}}],
    },
    "target": {"metric": "val/accuracy", "value": 0.9},
}
RIGHT = [
    ("experiment", "small"),
    # Other classes, other ways to write them, and every kind of value.
    ("data.init_args.task", "Parity"),
    ("data.class_path", "svl.data.Subset"),
    ("model.network", "MLP"),
    ("model.network", {"class_path": "torch.nn.Linear"}),
    ("model.network", {"class_path": "Transformer", "init_args": {"depth": 1}}),
    ("model.loss", "hinge"),
    ("model.optimizer", None),
    ("model.optimizer", {"class_path": "AdamW", "init_args": {"lr": 0.001}}),
    ("model.measure_at", [1, 2, 3]),
    ("model.groups.input.params", ["a", "b"]),
    ("model.parameterisation", {"class_path": "Alpha", "init_args": {"alpha": 0.5}}),
    ("trainer.callbacks", None),
    ("trainer.logger", False),
    ("trainer.deterministic", "warn"),
    ("trainer.max_steps", 20),
    ("target.value", 1),
    ("replicas.arms", None),
]
WRONG = [
    ("modle", {"size": 1}),
    ("data.init_args.sise", 64),
    ("data.init_args.batch_size", "many"),
    ("data.init_args.batch_size", 1.5),
    ("data.init_args.task.init_args.dimension", 8),
    ("data.init_args.task.class_path", "Parti"),
    ("data.init_args.interventions.noise.init_args.strength", 1),
    ("model.network.init_args.widht", 8),
    ("model.network.class_path", "MPL"),
    ("model.optimizer.init_args.lr", "high"),
    ("model.optimizer", "SGDD"),
    ("model.groups.input.rate", 0.1),
    ("model.compile", "sometimes"),
    ("model.fused", "maybe"),
    ("model.measure_at", "linear"),
    ("model.precision", 16),
    ("trainer.max_stepz", 10),
    ("trainer.max_steps", [10]),
    ("trainer.callbacks", ["NormRatios"]),
    ("wandb.mode", "onlin"),
    ("replicas.vary", [1]),
    ("replicas.seeds", None),
]


@pytest.fixture(scope="module")
def validator():
    schema = JsonSchema(setting_parser()).content
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_every_shipped_config_is_valid(validator, path):
    assert [error.message for error in validator.iter_errors(read_config(str(path)))] == []


@pytest.mark.parametrize(("key", "value"), [*RIGHT, *WRONG], ids=str)
def test_the_schema_takes_what_the_parser_takes(validator, key, value):
    config = copy.deepcopy(SMALL)
    *parts, last = key.split(".")
    place = config
    for part in parts:
        place = place.setdefault(part, {})
    place[last] = value
    try:
        resolve(["fit", "--config", dump_yaml(config)])
        is_taken = True
    except SettingError:
        is_taken = False
    assert validator.is_valid(config) == is_taken
    assert is_taken == ((key, value) in RIGHT)


def test_a_resolved_config_is_valid(validator):
    import yaml

    assert validator.is_valid(yaml.safe_load(resolve(["fit", "--config", dump_yaml(SMALL)])))


def test_settings_and_classes_are_described(validator):
    schema = validator.schema
    trainer = schema["properties"]["trainer"]["properties"]
    assert trainer["max_steps"] == {"type": "integer", "description": "optimisation steps.", "default": 1000}
    assert schema["$defs"]["Parity"]["description"].startswith("(dim, degree)-parity: x uniform")
    assert all(part.get("description") for name, part in schema["$defs"].items() if not name.startswith("Any-"))


def test_the_command_writes_the_schema(svl, tmp_path):
    told = svl(tmp_path, "schema", "--output", "svl.schema.json")
    assert (told.status, told.out) == (0, "svl.schema.json\n")
    assert json.loads(told.path.read_text()) == json.loads(svl(tmp_path, "schema").out)
    refused = svl(tmp_path, "schema", "--output", "/proc/nothing/here.json")
    assert refused.status == 2 and refused.err.startswith("svl: error: --output: got '/proc/nothing/here.json'")
