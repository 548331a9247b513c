"""What an intervention on the data is: a change of training examples, between the strategy and the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from svl.replicas import Replicas
from svl.tasks.task import Task

if TYPE_CHECKING:
    from svl.data.draw import Draw, Settings
    from svl.data.reuse import ReuseDataModule

FRESH = 2**61
"""Counters from here on are those of no training example: beyond every step's, and below the test set's."""


@dataclass
class Batch:
    """The training examples of one micro-batch, ``[replica, batch, ...]``, and where they come from.

    Attributes:
        data: the strategy.
        task: with the settings that vary by replica.
        draw: the micro-batch for which the strategy was asked.
        index: counters of the examples.
        inputs: as the interventions before this one left them.
        targets: likewise.
        applied: how many interventions came before.
    """

    data: ReuseDataModule
    task: Task
    draw: Draw
    index: Int[Tensor, "replica batch"]
    inputs: Tensor
    targets: Tensor
    applied: int

    @property
    def key(self) -> Int[Tensor, "replica 2"]:
        """Each replica's key."""
        return self.draw.key

    def phase(self) -> Int[Tensor, "replica"]:
        """Each replica's phase, from 0."""
        return self.data.phase(self.draw.settings, self.draw.state, self.draw.step)

    def examples(self, index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of other examples, after the interventions that came before."""
        return self.data.learned(self.draw, index, self.applied)

    def enumerated(self) -> Tensor | None:
        """Which replicas read the enumerated population."""
        return self.data.enumerated(self.draw.settings, self.draw.state, self.draw.step)


class DataIntervention(ABC):
    """A pure function of examples and their counters, the same at each repetition of an example in a phase.

    Its attributes have the names of its constructor's arguments; those in ``per_replica`` can vary by replica. The test
    set stays as it is.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()
    changes_inputs: ClassVar[bool] = False  # and so asks the task for the labels: it stands first, and alone

    def check(self, key: str, data: ReuseDataModule) -> None:  # noqa: B027 - most tasks and strategies will do
        """Raise :class:`SettingError` for ``key`` where the intervention makes no sense for a task or strategy."""

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        """The settings that :meth:`apply` needs, as tensors ``[replica, ...]``; called once, before training.

        What all replicas share is kept on the intervention here and nowhere else.

        Args:
            data: the strategy.
            settings: the strategy's.
            replicas: arms and seeds.
            prefix: where the intervention's settings stand in the config.
        """
        columns = replicas.columns(prefix, self)
        return {name: torch.tensor(column) for name, column in columns.items()}

    @abstractmethod
    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """The inputs and targets to learn instead."""
