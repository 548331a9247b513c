"""The objects of a config, built as a fit builds them, without a run directory and without training."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from svl.cli.session import Session


class Objects(Session):
    """Builds the task, the strategy and the module of a config, and stops there.

    Attributes:
        model: the module; its stack is not built.
        datamodule: the strategy.
    """

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """A trainer that does nothing."""
        return pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)

    def run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""
