"""svl's modules and callbacks in a plain trainer of Lightning, without the command line."""

import functools
import warnings

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from svl.callbacks import Checkpoint, History, Measurement, NormRatio
from svl.callbacks.checkpoint import CheckpointInterval
from svl.data import AutomaticPhases, FullBatch, Online, Subset
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ReplicaModule

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
BY_STEPS = {"val_check_interval": 10, "check_val_every_n_epoch": None, "log_every_n_steps": 1}


def module(**settings):
    replicas = Replicas(2, vary={"data.size": [32, "online"]})
    network = functools.partial(MLP, width=8)
    return ReplicaModule(network, "logistic", SGD(0.5), replicas=replicas, compile="never", **settings)


def data(**settings):
    return Subset(Parity(8, 2), 32, batch_size=16, test_size=256, **settings)


class Means(Measurement):
    """Whole numbers, and two columns."""

    metrics = ("count", "twice")

    def measure(self, module):
        count = torch.arange(len(module.replicas))
        return {"count": count, "twice": 2.0 * count}


@pytest.fixture
def trainer(tmp_path):
    def make(*callbacks, **options):
        logger = options.pop("logger", CSVLogger(tmp_path, name="", version="log"))
        defaults = {"max_steps": 40, "default_root_dir": tmp_path, **BY_STEPS, **QUIET}
        return pl.Trainer(logger=logger, callbacks=list(callbacks), **{**defaults, **options})

    return make


def test_measurements_are_logged_and_can_be_monitored(trainer, tmp_path):
    best = ModelCheckpoint(tmp_path / "best", monitor="norm_ratio/size=32", mode="max", save_top_k=1)
    made = trainer(NormRatio(), Means(), best)
    made.fit(lit := module(), data())
    assert made.global_step == 40
    table = pd.read_csv(tmp_path / "log" / "metrics.csv").set_index("step")
    # Lightning logs nothing of the check before training.
    assert list(table["val/loss"].dropna().index) == [10, 20, 30, 40]
    assert {"val/loss/size=32", "norm_ratio/size=online", "count", "twice"} <= set(table)
    assert table["count"].dropna().tolist() == [1.5] * 4
    final = lit.measured["val/loss"]
    assert table["val/loss"].iloc[-1] == pytest.approx(final.mean().item(), rel=1e-6)
    assert table["val/loss/size=32"].iloc[-1] == pytest.approx(final[:2].mean().item(), rel=1e-6)
    torch.testing.assert_close(final, lit.stack.evaluate()["val/loss"], rtol=0, atol=0)
    assert best.best_model_score == pytest.approx(table["norm_ratio/size=32"].max(), rel=1e-6)


def test_the_history_is_that_of_the_command_line(trainer, svl, tmp_path):
    history = History(tmp_path / "run", "val/accuracy", 0.9)
    made = trainer(NormRatio(), history, Checkpoint(tmp_path / "run", CheckpointInterval()))
    made.fit(module(), data())
    words = [
        *("fit", "--data", "Subset", "--data.task", "Parity", "--data.task.dim", "8", "--data.task.degree", "2"),
        *("--data.batch_size", "16", "--data.test_size", "256", "--model.network", "MLP", "--model.network.width", "8"),
        *("--model.compile", "never", "--replicas.seeds", "2", "--replicas.vary", "{data.size: [32, online]}"),
        *("--model.optimizer.lr", "0.5", "--trainer.max_steps", "40", "--trainer.log_every_n_steps", "10"),
        *("--trainer.callbacks", "[NormRatio]", "--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"),
    ]
    outcome = svl(tmp_path, *words)
    from svl.results import history as table

    expected, rows = pd.read_parquet(outcome.path / "history.parquet"), table.read(tmp_path / "run")
    pd.testing.assert_frame_equal(rows[list(expected)], expected)


def test_early_stopping_and_resume(trainer, tmp_path):
    stop = EarlyStopping("val/accuracy", mode="max", stopping_threshold=0.1)
    made = trainer(stop, logger=False, enable_checkpointing=False)
    made.fit(module(), data())
    assert made.global_step == 10
    made.save_checkpoint(tmp_path / "stopped.ckpt")
    (still := trainer(stop, logger=False, enable_checkpointing=False)).fit(
        module(), data(), ckpt_path=tmp_path / "stopped.ckpt"
    )
    assert still.global_step == 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning misses the callback, which is left out on purpose
        (again := trainer(logger=False, enable_checkpointing=False)).fit(
            other := module(), data(), ckpt_path=tmp_path / "stopped.ckpt"
        )
    assert again.global_step == 40
    whole = module()
    trainer(logger=False, enable_checkpointing=False).fit(whole, data())
    for name, parameter in whole.stack.parameters_by_name().items():
        assert torch.equal(other.stack.parameters_by_name()[name], parameter)


@pytest.mark.parametrize(
    "strategy",
    [
        lambda: Online(Parity(8, 2), 16, 64),
        lambda: FullBatch(Parity(8, 2), 32, test_size=64),
        lambda: AutomaticPhases(Parity(8, 2), 2, 8, 64, batch_size=16, test_size=64),
    ],
)
def test_every_kind_of_strategy_is_a_data_module(trainer, strategy):
    lit = ReplicaModule(functools.partial(MLP, width=8), replicas=Replicas(2), compile="never")
    made = trainer(logger=False)
    made.fit(lit, strategy())
    assert made.global_step == 40 and lit.measured["val/loss"].shape == (2,)
    (values,) = made.validate(lit, strategy(), verbose=False)
    assert values["val/loss"] == pytest.approx(lit.measured["val/loss"].mean().item())


def test_a_plain_trainer_measures_at_the_steps_that_it_logs_if_it_does_not_validate_by_steps(tmp_path):
    made = pl.Trainer(max_steps=30, log_every_n_steps=15, logger=False, default_root_dir=tmp_path, **QUIET)
    seen = []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            seen.append(trainer.global_step)

    made.callbacks.append(Watch())
    made.fit(module(), data())
    assert seen == [0, 15, 30]


@pytest.mark.parametrize(
    ("options", "key", "hint"),
    [
        ({"max_steps": -1, "max_epochs": 2}, "trainer.max_steps", "fresh data have no epochs"),
        ({"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches", "data.batch_size"),
        ({"gradient_clip_val": 1.0}, "trainer.gradient_clip_val", "ClipNorm"),
        ({"precision": "64-true"}, "trainer.precision", "model.precision"),
        ({"overfit_batches": 3}, "trainer.overfit_batches", "Subset"),
    ],
)
def test_what_a_stack_cannot_do_is_refused(trainer, options, key, hint):
    with pytest.raises(SettingError, match=hint) as caught:
        trainer(logger=False, **options).fit(module(), data())
    assert caught.value.key == key


def test_a_batch_can_be_one_step(trainer):
    starts = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            starts.append(trainer.global_step)

    trainer(Watch(), logger=False, max_steps=12).fit(module(steps_per_batch=1), data())
    assert starts == list(range(1, 13))


class Wrong(Measurement):
    """Measures what it is told to, which is not what it says."""

    def __init__(self, announced, values):
        self.metrics, self.values = announced, values

    def measure(self, module):
        return self.values


@pytest.mark.parametrize(
    ("announced", "values", "message"),
    [
        (("val/loss",), {"val/loss": torch.ones(4)}, "names that nothing else in the fit measures"),
        (("announced",), {"other": torch.ones(4)}, "what it announces: announced"),
        (("one",), {"one": torch.tensor(1.0)}, r"one real number for each replica: shape \(4,\)"),
        (("one",), {"one": torch.ones(3)}, r"one real number for each replica: shape \(4,\)"),
    ],
)
def test_a_measurement_is_checked_at_step_0(trainer, announced, values, message):
    with pytest.raises(SettingError, match=message) as caught:
        trainer(Wrong(announced, values), logger=False).fit(module(), data())
    assert caught.value.key == "trainer.callbacks" and "Wrong" in str(caught.value)


def test_whole_numbers_are_measured(trainer):
    made = trainer(Means(), logger=False)
    made.fit(lit := module(), data())
    assert lit.measured["count"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_a_callback_logs_by_itself_is_kept(trainer, tmp_path):
    class Logs(pl.Callback):
        ended = 0

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            pl_module.log("my/number", float(trainer.global_step))

        def on_validation_epoch_end(self, trainer, pl_module):
            self.ended += 1

    made = trainer(logs := Logs(), log_every_n_steps=1)
    made.fit(module(), data())
    table = pd.read_csv(tmp_path / "log" / "metrics.csv")
    assert table["my/number"].dropna().tolist() == [10.0, 20.0, 30.0, 40.0]
    assert logs.ended == 5
