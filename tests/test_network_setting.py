"""The network on a command line: which settings belong to which class or function."""

import sys
from itertools import pairwise

import pytest
import yaml

from svl.cli.arguments import prepare
from svl.config_file import load_yaml

MINE = """
from torch import nn


def factory(input_shape: tuple[int, ...], output_dim: int, width: int = 12) -> nn.Module:
    return nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, output_dim))


class Net(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int, width: int = 12):
        super().__init__(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, output_dim))


class MLP(nn.Linear):
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine_net.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine_net", None)


def networks(*words):
    """What the words of a command line say of the network, in order."""
    prepared, found = prepare(["fit", *words]).words, []
    for name, value in pairwise(prepared):
        if name == "--config":
            found.append(load_yaml(value)["model"].get("network"))
        elif name.startswith("--model.network"):
            found.append((name.removeprefix("--model.network"), load_yaml(value)))
    return found


@pytest.fixture
def config(tmp_path):
    def write(network, name="config.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump({"model": {"network": network}}))
        return ["--config", str(tmp_path / name)]

    return write


def test_words_belong_to_the_network_that_the_command_line_names(config):
    name = ("", {"class_path": "a.Net"})
    wide = config({"class_path": "MLP", "init_args": {"width": 16}})
    assert networks("--model.network.width", "20", "--model.network", "a.Net") == [name, (".width", 20)]
    assert networks(*wide, "--model.network.width", "20", "--model.network", "a.Net")[1:] == [name, (".width", 20)]
    twice = networks("--model.network", "MLP", "--model.network.width", "8", "--model.network", "a.Net")
    assert twice == [("", "MLP"), (".width", 8), name]
    assert networks(*config("a.Net", "name.yaml")) == [{"class_path": "a.Net"}]


def width_of(done):
    assert done.status == 0, done.err
    network = yaml.safe_load((done.path / "config.yaml").read_text())["model"]["network"]
    return network["class_path"], network["init_args"]["width"]


@pytest.mark.parametrize("other", ["mine_net.Net", "mine_net.factory"])
def test_another_network_takes_no_settings_from_the_one_before_it(svl, folder, other, config):
    def resolved(*words):
        done = svl(folder, "fit", "--data", "Online", "--data.task", "Parity", *words, "--print_config")
        assert done.status == 0, done.err
        return yaml.safe_load(done.out)["model"]["network"]

    own = {"class_path": other, "init_args": {"width": 12}}
    wide = config({"class_path": "MLP", "init_args": {"width": 16, "depth": 3}})
    assert resolved("--model.network", other) == own
    assert resolved(*wide, "--model.network", other) == own
    assert resolved(*wide, *config(other, "other.yaml")) == own
    assert resolved("--model.network", "MLP", "--model.network.width", "8", "--model.network", other) == own
    assert resolved(*wide, "--model.network", "svl.models.MLP")["init_args"]["width"] == 16
    assert resolved(*wide, "--model.network.depth", "4")["init_args"]["width"] == 16


@pytest.mark.parametrize("name", ["factory", "Net"])
def test_a_function_has_settings_as_a_class_has(svl, tiny, folder, name, monkeypatch):
    from svl.results import figure

    monkeypatch.setattr(figure, "curves", lambda *settings: None)
    monkeypatch.setattr(figure, "save", lambda drawn, path: path.parent.mkdir(exist_ok=True))
    path = f"mine_net.{name}"
    assert width_of(svl(folder, *tiny, "--model.network", path)) == (path, 12)
    done = svl(folder, *tiny, "--model.network", path, "--model.network.width", "20")
    assert width_of(done) == (path, 20)
    spelled = "{class_path: " + path + ", init_args: {width: 20}}"
    again = svl(folder, *tiny, "--model.network", spelled)
    assert width_of(again) == (path, 20)
    assert (again.path / "history.parquet").read_bytes() == (done.path / "history.parquet").read_bytes()
    third = svl(folder, "fit", "--config", str(done.path / "config.yaml"))
    assert (third.path / "history.parquet").read_bytes() == (done.path / "history.parquet").read_bytes()
    checkpoint = ["--ckpt_path", str(done.path / "checkpoints" / "last.ckpt")]
    assert svl(folder, "fit", *checkpoint).status == 0
    refused = svl(folder, "fit", *checkpoint, "--model.network.width", "21")
    assert refused.err.startswith("svl: error: model.network.width: got 21; allowed: 20, as in ")


def test_what_a_function_does_not_take_is_one_line(svl, tiny, folder):
    words = [*tiny, "--model.network", "mine_net.factory"]
    done = svl(folder, *words, "--model.network.widht", "3")
    assert done.err == (
        "svl: error: model.network.widht: got '3'; allowed: width (did you mean 'model.network.width'?)\n"
    )
    done = svl(folder, *words, "--replicas.vary.model.network.width", "[3, 4]")
    assert done.err.startswith("svl: error: replicas.vary.model.network.width: got [3, 4]; allowed: ")
    assert "sweep" in done.err and done.err.count("\n") == 1
    done = svl(folder, *words, "--model.network.width", "many")
    assert done.err == "svl: error: model.network.width: got 'many'; allowed: a whole number\n"


RIVALS = {
    "model.network": ("MLP", "svl.models.MLP"),
    "data": ("Subset", "svl.data.Subset"),
    "data.task": ("Parity", "svl.tasks.Parity"),
    "model.optimizer": ("SGD", "svl.optim.SGD"),
    "model.loss": ("Hinge", "svl.losses.Hinge"),
    "model.parameterisation": ("MuP", "svl.optim.MuP"),
    "model.interventions.a": ("ClipNorm", "svl.interventions.ClipNorm"),
    "data.interventions.a": ("LabelNoise", "svl.interventions.LabelNoise"),
    "trainer.callbacks+": ("NormRatio", "svl.callbacks.NormRatio"),
    "model.schedules.a": ("ConstantLR", "torch.optim.lr_scheduler.ConstantLR"),
    "trainer.logger": ("CSVLogger", "lightning.pytorch.loggers.csv_logs.CSVLogger"),
}


@pytest.fixture
def rivals(monkeypatch):
    """A module with a class of the same name for every short name."""
    import pkgutil
    import types

    module = types.ModuleType("rivals_of_svl")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, path in RIVALS.values():
        base = pkgutil.resolve_name(path).__mro__[1]
        setattr(module, name, type(name, (base,), {"__module__": module.__name__, "__qualname__": name}))
    return module


@pytest.mark.parametrize("key", RIVALS)
def test_a_short_name_means_svls_own_class_whatever_else_is_imported(svl, tiny, tmp_path, rivals, key):
    name, path = RIVALS[key]
    done = svl(tmp_path, *tiny, f"--{key}", name, "--print_config")
    assert done.status == 0, done.err
    printed = yaml.safe_load(done.out)
    for part in key.rstrip("+").split("."):
        printed = printed.get("init_args", printed)[part] if isinstance(printed, dict) else printed[part]
    printed = printed[-1] if isinstance(printed, list) else printed
    assert printed["class_path"] in (path, path.replace(".csv_logs", ""))


def test_a_name_of_several_other_classes_is_one_line_with_their_paths(svl, tiny, tmp_path, rivals):
    from svl.callbacks.measurement import Measurement

    for module in (rivals, sys.modules[__name__]):
        kind = type("Twice", (Measurement,), {"__module__": module.__name__, "measure": lambda self, module: {}})
        module.Twice = kind
    done = svl(tmp_path, *tiny, "--trainer.callbacks", "[Twice]")
    paths = f"rivals_of_svl.Twice or {__name__}.Twice"
    assert done.status == 2 and done.err.count("\n") == 1
    assert done.err.startswith("svl: error: trainer.callbacks: got 'Twice'; allowed: one of the classes of this name: ")
    assert all(path in done.err for path in paths.split(" or "))


@pytest.mark.parametrize("lr", [[], ["--model.optimizer.lr", "0.02"]])
def test_an_optimizer_takes_no_settings_from_the_one_before_it(svl, tiny, tmp_path, lr):
    (tmp_path / "sgd.yaml").write_text("model: {optimizer: {class_path: SGD, init_args: {lr: 3.0, weight_decay: 0.5}}}")
    for words in ([*lr, "--model.optimizer", "AdamW"], ["--model.optimizer", "AdamW", *lr]):
        outcome = svl(tmp_path, *tiny, "--config", "sgd.yaml", *words)
        assert outcome.status == 0, outcome.err
        own = yaml.safe_load((outcome.path / "config.yaml").read_text())["model"]["optimizer"]["init_args"]
        assert own == {
            "lr": float((lr or [0, 1e-3])[1]),
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": 1e-8,
            "weight_decay": 0.01,
        }
