"""The LightningModule: what may vary, and that a fit is nothing but the stack's steps."""

import functools
import inspect

import lightning.pytorch as pl
import pytest
import torch

from svl.data import AutomaticPhases, FullBatch, Online, Subset
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ParameterGroup, ReplicaModule, ReplicaStack, TrainingSettings


def prepare(vary, data=None, network=MLP, **settings):
    module = ReplicaModule(network, replicas=Replicas(1, vary=vary), compile="never", **settings)
    module.prepare(data or Subset(Parity(8, 3), batch_size=8), 10, 10)
    return module


@pytest.mark.parametrize(
    "key",
    [
        "model.network.width",
        "model.network.activation",
        "data.batch_size",
        "data.reuse",
        "data.test_size",
        "data.task",
        "data.task.dim",
        "data.task.support",
        "model.loss",
        "model.init",
        "model.network",
        "model.optimizer",
    ],
)
# The command line hands over the network's class inside partial functions of either kind.
@pytest.mark.parametrize(
    "network", [MLP, functools.partial(MLP, width=8), functools.partial(lambda build, *a: build(*a), MLP)]
)
def test_what_changes_shapes_or_code_belongs_in_a_sweep(key, network):
    with pytest.raises(SettingError, match="changes shapes or code: vary it by a sweep across fits") as caught:
        prepare({key: [4, 8]}, network=network)
    assert caught.value.key == f"replicas.vary.{key}"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("data.sise", r"did you mean 'data\.size'"),
        ("model.optimizer.learning", r"did you mean 'model\.optimizer"),
        ("model.optimizer.beta2", r"can differ by replica"),
        ("model.groups.first.lrr", r"did you mean 'model\.groups\.first\.lr'"),
        ("model.groups.second.lr", r"did you mean 'model\.groups\.first\.lr'"),
        ("xyz", r"choose from .*model\.optimizer\.lr"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(key, hint):
    with pytest.raises(SettingError, match=hint) as caught:
        prepare({key: [0.1, 0.2]}, groups={"first": ParameterGroup("layers.0.*")})
    assert caught.value.key == f"replicas.vary.{key}"
    assert "sweep" not in str(caught.value)


@pytest.mark.parametrize(
    ("vary", "data", "settings"),
    [
        ({"data.size": [4, "online"]}, None, {}),
        ({"data.size": [4, "population"]}, lambda: FullBatch(Parity(8, 3), 4), {}),
        ({"data.first": [4, 8], "data.max_epochs": [1, 2]}, lambda: AutomaticPhases(Parity(8, 3), 2, 4, 32), {}),
        ({"model.optimizer.beta2": [0.9, 0.99]}, None, {"optimizer": AdamW()}),
        ({"model.groups.g.frozen": [True, False]}, None, {"groups": {"g": ParameterGroup("*")}}),
    ],
)
def test_numbers_of_every_part_can_vary(vary, data, settings):
    module = prepare(vary, data() if data else None, **settings)
    assert len(module.stack.key) == len(module.replicas.arms) > 1


def test_a_value_out_of_range_is_refused_before_training():
    with pytest.raises(SettingError, match=r"model\.optimizer\.lr: got -1"):
        prepare({"model.optimizer.lr": [0.1, -1]})
    with pytest.raises(SettingError, match=r"data\.size: got 300"):
        prepare({"data.size": [4, 300]})


@pytest.mark.parametrize(("steps", "every"), [(30, 10), (25, 10), (7, 100)])
def test_a_fit_takes_the_stack_s_steps_and_counts_them(steps, every, tmp_path):
    def data():
        return Online(Parity(8, 3), 8, 100)

    module = ReplicaModule(functools.partial(MLP, width=8), optimizer=SGD(0.3), replicas=Replicas(2), compile="never")
    module.prepare(datamodule := data(), steps, min(every, steps))
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        limit_val_batches=0,
        default_root_dir=tmp_path,
        log_every_n_steps=every,
        **quiet,
    )
    trainer.fit(module, datamodule)
    assert trainer.global_step == steps
    assert module.stack.record["samples"].tolist() == [8 * steps] * 2
    other = ReplicaModule(functools.partial(MLP, width=8), optimizer=SGD(0.3), replicas=Replicas(2), compile="never")
    other.prepare(data(), steps, min(every, steps))
    other.stack.train_steps(0, steps)
    for name, parameter in other.stack.parameters_by_name().items():
        assert torch.equal(module.stack.parameters_by_name()[name], parameter)


def test_a_lightning_batch_is_short_and_divides_the_interval_between_measurements():
    data = FullBatch(Parity(20, 6), "population")
    module = ReplicaModule(functools.partial(MLP, width=512), replicas=Replicas(4), compile="never")
    module.prepare(data, 1000, 60)
    assert 60 % data.steps_per_batch == 0 and data.steps_per_batch < 60
    module = ReplicaModule(functools.partial(MLP, width=8), replicas=Replicas(4), compile="never")
    module.prepare(data := Online(Parity(8, 3), 8), 1000, 60)
    assert data.steps_per_batch == 60


@pytest.mark.parametrize("name", ["block_size", "threads"])
def test_an_engine_needs_at_least_one_of_each(name):
    with pytest.raises(SettingError, match=rf"^{name}: got 0; allowed: at least 1"):
        ReplicaModule(**{name: 0})


@pytest.mark.parametrize(("name", "value"), [("init", "xavier"), ("loss", "entropy")])
def test_unknown_names_are_refused_with_the_known_ones(name, value):
    past_the_import_hook = inspect.unwrap(ReplicaStack.__init__)
    # The type of an argument is checked before its value in tests, except where the hook is passed by.
    training = TrainingSettings(MLP, replicas=Replicas(1))
    object.__setattr__(training, name, value)
    with pytest.raises(SettingError, match=rf"model\.{name}: got '{value}'; allowed: .*, "):
        past_the_import_hook(ReplicaStack.__new__(ReplicaStack), Online(Parity(8, 3)), training)
