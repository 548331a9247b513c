"""What svl expects of Lightning: how it counts steps, and when its command line calls which method."""

import inspect
import math
import sys
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from svl.compat.lightning import checkpoint_intervals, count_steps
from svl.compat.lightning_cli import CommandLine


class Module(pl.LightningModule):
    """Takes three optimisation steps in each batch, of which Lightning sees one."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.automatic_optimization = False
        self.seen = []

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], 0.1)

    def training_step(self, batch, batch_idx):
        self.optimizers().step()
        count_steps(self.trainer, 2)
        self.seen.append(self.trainer.global_step)

    def train_dataloader(self):
        return DataLoader(torch.zeros(8), batch_size=1)


QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_steps_that_are_counted_are_global_steps_and_end_the_fit():
    trainer, module = pl.Trainer(max_steps=9, max_epochs=-1, **QUIET), Module()
    trainer.fit(module)
    assert module.seen == [3, 6, 9]
    assert trainer.global_step == 9


@pytest.mark.parametrize("name", ["_run_subcommand", "_prepare_subcommand_kwargs", "_set_seed", "_parse_ckpt_path"])
def test_the_command_line_has_the_private_methods_that_are_overridden(name):
    assert inspect.signature(getattr(LightningCLI, name)) is not None
    assert list(inspect.signature(getattr(CommandLine, name)).parameters) == list(
        inspect.signature(getattr(LightningCLI, name)).parameters
    )


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.zeros(8), batch_size=1)


@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::DeprecationWarning")
def test_the_command_line_calls_the_public_hooks(monkeypatch, tmp_path):
    calls = []

    class Recorder(CommandLine):
        def subcommands(self):
            return {"fit": LightningCLI.subcommands()["fit"]}

        def add_core_arguments_to_parser(self, parser):
            parser.add_argument("--size", type=int, default=1)

        def add_default_arguments_to_parser(self, parser):
            pass

        def instantiate_classes(self):
            self.config_init = self.parser.instantiate_classes(self.config)
            self.model, self.datamodule, self.trainer = (
                Module(),
                Data(),
                pl.Trainer(max_steps=3, max_epochs=-1, **QUIET),
            )

        def subcommand_arguments(self, subcommand):
            arguments = super().subcommand_arguments(subcommand)
            calls.append(("arguments", subcommand, sorted(arguments)))
            return arguments

        def run_subcommand(self, subcommand):
            calls.append(("run", subcommand))
            super().run_subcommand(subcommand)

        def after_fit(self):
            calls.append(("after", self.trainer.global_step))

    # It would read settings from a checkpoint of this name, and there is none to be seeded with.
    checkpoint = tmp_path / "some.ckpt"
    checkpoint.write_text("not a checkpoint")
    monkeypatch.setattr(sys, "argv", ["svl", "fit", "--ckpt_path", str(checkpoint)])
    monkeypatch.setattr(pl.Trainer, "fit", lambda self, model, datamodule, ckpt_path=None, weights_only=None: None)
    state = torch.random.get_rng_state()
    session = Recorder(Module, Data, None, auto_configure_optimizers=False, load_from_checkpoint_support=False)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [call[:2] for call in calls] == [("run", "fit"), ("arguments", "fit"), ("after", 0)]
    assert {"model", "datamodule", "ckpt_path"} <= set(calls[1][2])
    assert session.subcommand_parser().get_defaults()["size"] == 1


@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_what_lightning_logs_by_itself_has_optimisation_steps_as_its_step(tmp_path):
    class Logs(Module):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.log("number", float(self.trainer.global_step))

    logger = CSVLogger(tmp_path)
    trainer = pl.Trainer(max_steps=9, max_epochs=-1, log_every_n_steps=1, **{**QUIET, "logger": logger})
    trainer.fit(Logs())
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    # Lightning counts the step that has just been taken from 0.
    assert table["number"].tolist() == [3, 6, 9] and table["step"].tolist() == [2, 5, 8]


def test_the_interval_of_a_checkpoint_by_steps_is_known():
    kinds = [ModelCheckpoint(every_n_train_steps=7), ModelCheckpoint(monitor="loss"), pl.Callback()]
    assert checkpoint_intervals(kinds) == {7}


@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_validation_comes_at_the_batches_that_val_check_batch_asks_for_and_before_training():
    seen = []

    class Validated(Module):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.trainer.val_check_batch = 1 if self.trainer.global_step in (6, 15) else math.inf

        def validation_step(self, batch, batch_idx):
            seen.append((self.trainer.global_step, self.trainer.sanity_checking))

        def val_dataloader(self):
            return DataLoader(torch.zeros(1))

    options = {"val_check_interval": 1, "check_val_every_n_epoch": None, "num_sanity_val_steps": 1}
    pl.Trainer(max_steps=18, max_epochs=-1, **options, **QUIET).fit(Validated())
    assert seen == [(0, True), (6, False), (15, False)]
