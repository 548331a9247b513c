"""What svl expects of Lightning: how it counts steps, and when its command line calls which method."""

import inspect
import sys

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader

from svl.compat.lightning import count_steps
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
