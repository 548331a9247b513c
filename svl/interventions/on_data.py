"""The base class of interventions on the data: changes of training examples between strategy and network."""

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
"""Counters from here on belong to no training example: they are above every step's and below the test set's."""


@dataclass
class Batch:
    """The training examples of one micro-batch, ``[replica, batch, ...]``, and where they come from.

    Attributes:
        data: the strategy.
        task: with the settings that vary by replica.
        draw: the micro-batch for which the strategy was asked.
        index: counters of the examples.
        inputs: inputs after the interventions before this one.
        targets: targets after the interventions before this one.
        applied: number of interventions before this one.
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
        """Inputs and targets of other examples, after the interventions before this one."""
        return self.data.learned(self.draw, index, self.applied)

    def enumerated(self) -> Tensor | None:
        """Which replicas read the enumerated population."""
        return self.data.enumerated(self.draw.settings, self.draw.state, self.draw.step)


class DataIntervention(ABC):
    """A pure function of examples, their counters and the step.

    Most have the same result each time an example is used in a phase; an augmentation uses ``batch.draw.step`` too.
    Its attributes have the names of its constructor's arguments; those in ``per_replica`` can vary by replica. The test
    set is not changed.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()
    changes_inputs: ClassVar[bool] = False  # it then asks the task for new labels, so it must be the first

    def check(self, key: str, data: ReuseDataModule) -> None:  # noqa: B027 - by default every task and strategy is allowed
        """Raise :class:`SettingError` for ``key`` where the intervention does not apply to the task or the strategy."""

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        """The settings that :meth:`apply` needs, as tensors ``[replica, ...]``; called once, before training.

        Only this method sets attributes: those that all replicas share.

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
