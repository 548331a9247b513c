"""What every data-reuse strategy has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.data.axes import Axes, Axis
from svl.errors import check_whole
from svl.replicas import Replicas
from svl.tasks.task import Task

Numbers = dict[str, Tensor]
State = dict[str, Tensor]


class Steps:
    """The training dataloader: yields ``(first step, number of steps)``; its position is the trainer's step."""

    def __init__(self, data: ReuseDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return -(-self.data.total_steps // self.data.steps_per_batch)

    def __iter__(self) -> Iterator[Int[Tensor, "2"]]:
        total, chunk = self.data.total_steps, self.data.steps_per_batch
        for start in range(self.data.trainer.global_step if self.data.trainer else 0, total, chunk):
            yield torch.tensor([start, min(chunk, total - start)])


class ReuseDataModule(pl.LightningDataModule, ABC):
    """A rule ``(key, step, replica) -> indices`` over a task: one strategy of data reuse.

    A subclass writes :meth:`indices` and, where needed, :meth:`numbers`, :meth:`initial_state` and :meth:`advance`. All
    are pure functions of tensors whose first axis is the replica, so the compiled training step calls them itself.

    Args:
        task: what is learned.
        batch_size: examples of one step.
        test_size: examples of the test set, which has its own range of counters; a task with a test set of its own
            decides itself.
        axes: pools on the task's axes of diversity, by name.

    Raises:
        SettingError: for a size below 1.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, task: Task, batch_size: int = 128, test_size: int = 4096, axes: dict[str, Axis] | None = None
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size, 1)
        check_whole("data.test_size", test_size, 1)
        self.task, self.batch_size, self.axes = task, batch_size, axes or {}
        self.test_size = task.test_size or test_size
        self.pools = Axes(self.axes, task)
        self.total_steps = 0
        self.steps_per_batch = 1

    # The rule -------------------------------------------------------------------------------------------------

    def numbers(self, replicas: Replicas) -> Numbers:
        """The per-replica settings as tensors ``[replica, ...]``; called once, before training."""
        return {}

    def initial_state(self, numbers: Numbers) -> State:
        """What the strategy remembers from step to step, as tensors ``[replica, ...]``."""
        return {}

    @abstractmethod
    def indices(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""],
    ) -> Int[Tensor, "replica batch"]:
        """Indices of the examples of micro-batch ``micro`` of step ``step``."""

    def weights(self, numbers: Numbers, index: Int[Tensor, "replica batch"]) -> Float[Tensor, "replica batch"] | None:
        """Weight of each example in the step's mean; ``None`` means 1 / batch_size each."""
        return None

    def advance(self, numbers: Numbers, state: State, accuracy: Float[Tensor, "replica"]) -> State:
        """The state after a step of this train accuracy: the one arrow from training back to the data."""
        return state

    def micro_batches(self, numbers: Numbers) -> int:
        """Micro-batches of one step for the replicas whose numbers these are."""
        return 1

    def samples(self, numbers: Numbers, state: State, steps: int) -> Int[Tensor, "replica"]:
        """Examples that each replica processed in ``steps`` steps: the papers' compute."""
        return torch.full((len(numbers["seed"]),), steps * self.batch_size)

    def enumerated(self, numbers: Numbers, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        """Which replicas read the enumerated population at a step rather than draws from it; ``None`` for none."""
        return None

    # What the training step calls ---------------------------------------------------------------------------------

    def setting_numbers(self, replicas: Replicas) -> Numbers:
        """:meth:`numbers` and what every strategy has: seeds, pools, and the task's settings where they vary."""
        varied = [name for name in self.task.per_replica if f"data.task.{name}" in replicas.vary]
        columns = replicas.numbers("data.task.", self.task) if varied else {}
        task = {f"task.{name}": torch.tensor(columns[name]) for name in varied}
        return {"seed": torch.tensor(replicas.seed), **task, **self.pools.numbers(replicas), **self.numbers(replicas)}

    def bound_task(self, numbers: Numbers) -> Task:
        """The task with its settings that vary by replica."""
        prefix = "task."
        return self.task.bind({k.removeprefix(prefix): v for k, v in numbers.items() if k.startswith(prefix)})

    def batch(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        micro: Int[Tensor, ""],
    ) -> tuple[Tensor, Tensor, Float[Tensor, "replica batch"] | None]:
        """Inputs, targets and weights of one micro-batch of every replica."""
        index = self.indices(numbers, state, key, step, micro)
        task: Any = self.bound_task(numbers)  # its axes are arguments of its own
        inputs, targets = task.examples(key, index, **self.pools.indices(numbers, key, index))
        population = self.enumerated(numbers, state, step)
        if population is not None:
            all_inputs, all_targets = task.population(key, index)
            inputs = _choose(population, all_inputs, inputs)
            targets = _choose(population, all_targets, targets)
        return inputs, targets, self.weights(numbers, index)

    def test_batch(
        self, numbers: Numbers, key: Int[Tensor, "replica 2"], start: int | Int[Tensor, ""], count: int
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets number ``start`` to ``start + count - 1`` of every replica's test set."""
        index = (start + torch.arange(count, device=key.device)).expand(key.shape[0], -1)
        return self.bound_task(numbers).test_examples(key, index)

    # Lightning ------------------------------------------------------------------------------------------------------

    def schedule(self, total_steps: int, steps_per_batch: int) -> None:
        """Fix the length of the run and how many steps one Lightning batch stands for."""
        self.total_steps, self.steps_per_batch = total_steps, steps_per_batch

    def train_dataloader(self) -> Any:
        return Steps(self)

    def val_dataloader(self) -> Any:
        return [torch.zeros(2, dtype=torch.int64)]

    def test_dataloader(self) -> Any:
        return self.val_dataloader()


def _choose(replica: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(replica.view(-1, *[1] * (first.dim() - 1)), first, second)
