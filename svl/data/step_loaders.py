"""What Lightning asks of a strategy: the dataloaders, and the state that a checkpoint keeps."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch

from svl.data.steps import MeasuredSteps, Steps
from svl.tasks.stored import check_unchanged, contents
from svl.tasks.task import Task


class StepLoaders(pl.LightningDataModule):
    """A DataModule whose dataloaders yield ranges of steps instead of examples.

    Args:
        task: what is learned.

    Attributes:
        total_steps: optimisation steps of the fit.
        steps_per_batch: how many of them one Lightning batch stands for, at most.
        measured_steps: those that are measured, at which a Lightning batch ends too.
        branches: further strategies of the same fit, by name.
    """

    prefix = "data."

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.branches: dict[str, Any] = {}
        self.total_steps, self.steps_per_batch = 0, 1
        self.measured_steps: MeasuredSteps | None = None

    def schedule(self, total_steps: int, steps_per_batch: int, measured: MeasuredSteps | None = None) -> None:
        """Fix the length of the run and how many steps one Lightning batch stands for, at most.

        Args:
            measured: the steps that are measured, at which a Lightning batch ends too.
        """
        self.total_steps, self.steps_per_batch, self.measured_steps = total_steps, steps_per_batch, measured
        for branch in self.branches.values():
            branch.schedule(total_steps, steps_per_batch)

    def state_dict(self) -> dict[str, Any]:
        """The hashes of the task's stored data, for checkpoints; empty if there are none."""
        return contents(self.task)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raise :class:`SettingError` if the task's stored data are not those of the checkpoint."""
        check_unchanged(state_dict, self.task, f"{self.prefix}task")

    def train_dataloader(self) -> Any:
        return Steps(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch as it is: a range of steps is read on the CPU, which would wait for a GPU to send it back."""
        return batch

    def val_dataloader(self) -> Any:
        # One loader of one batch, which stands for the whole test set: the module makes the examples itself.
        return [[torch.zeros(1)]]

    def test_dataloader(self) -> Any:
        return self.val_dataloader()
