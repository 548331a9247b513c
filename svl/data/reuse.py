"""What every data-reuse strategy has in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_number, check_whole
from svl.data.axes import Axes, Axis
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention
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

    A subclass writes :meth:`indices` and, where needed, :meth:`numbers`, :meth:`sets`, :meth:`initial_state` and
    :meth:`advance`. All are pure functions of tensors whose first axis is the replica, so the compiled training step
    calls them itself.

    Args:
        task: what is learned.
        batch_size: examples of one step.
        test_size: examples of the test set, which has its own range of counters; a task with a test set of its own
            decides itself.
        axes: pools on the task's axes of diversity, by name.
        batch_ratio: B / k: batches in proportion to the pool, of k values of the one axis that is restricted, or else
            of k examples; at most ``batch_size``, which an axis without end and fresh data have. Can vary by replica.
            Source: Kotha et al. 2025, figure 9.
        interventions: changes of the training examples, by name, one after the other; see :mod:`svl.interventions`.
        streams: further strategies, by name, from whose batches parameter groups can take their gradients
            (``model.groups.<name>.stream``); fresh data begin behind the sets of all. Their ``test_size`` counts for
            nothing. Source: Liu et al. 2026, figure 30.

    Raises:
        SettingError: for a size below 1, or settings that do not fit together.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()
    prefix = "data."

    def __init__(
        self,
        task: Task,
        batch_size: int = 128,
        test_size: int = 4096,
        axes: dict[str, Axis] | None = None,
        batch_ratio: float | None = None,
        interventions: dict[str, DataIntervention] | None = None,
        streams: dict[str, Callable[[Task], ReuseDataModule]] | None = None,
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size, 1)
        check_whole("data.test_size", test_size, 1)
        _check_ratio("data.batch_ratio", batch_ratio)
        self.task, self.batch_size, self.axes = task, batch_size, axes or {}
        self.test_size = task.test_size or test_size
        self.batch_ratio, self.interventions, self.streams = batch_ratio, interventions or {}, streams or {}
        self.pools = Axes(self.axes, task)
        self.branches = {name: self._branch(name, make) for name, make in self.streams.items()}
        self.total_steps = 0
        self.steps_per_batch = 1
        for place, (name, intervention) in enumerate(self.interventions.items()):
            key, given = f"data.interventions.{name}", type(intervention).__name__
            if place and intervention.changes_inputs:
                allowed = f"the first place: it gives the task's own labels to the inputs that {given} changes"
                raise SettingError(key, given, allowed)
            intervention.check(key, self)

    def _branch(self, name: str, make: Callable[[Task], ReuseDataModule]) -> ReuseDataModule:
        try:
            branch = make(self.task)
        except SettingError as error:
            raise SettingError(f"data.streams.{name}.{error.key[5:]}", error.given, error.allowed) from error
        if branch.branches:
            raise SettingError(f"data.streams.{name}.streams", [*branch.branches], "null: a stream has none of its own")
        branch.prefix = f"{self.prefix}streams.{name}."
        return branch

    # The rule -------------------------------------------------------------------------------------------------

    def numbers(self, replicas: Replicas) -> Numbers:
        """The per-replica settings as tensors ``[replica, ...]``; called once, before training."""
        return {}

    def sets(self, numbers: Numbers) -> Int[Tensor, "replica phase 2"]:
        """First index and number of examples of the set that each phase reuses; number 0 where data are fresh."""
        return torch.zeros(len(numbers["seed"]), 1, 2, dtype=torch.int64)

    def phase(self, numbers: Numbers, state: State, step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
        """Each replica's phase at a step, from 0."""
        return torch.zeros_like(numbers["seed"])

    def ahead(self, state: State, steps: Int[Tensor, ""]) -> State:
        """The state ``steps`` steps later if no phase ends before."""
        return state

    def log(
        self, numbers: Numbers, state: State
    ) -> tuple[Int[Tensor, "replica phase"], Float[Tensor, "replica phase"]]:
        """The first step of each phase, -1 if that is open; and the train accuracy that ended it, NaN if none did."""
        began = torch.zeros_like(numbers["seed"])[:, None]
        return began, torch.full(began.shape, math.nan)

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

    def weights(
        self, numbers: Numbers, state: State, step: Int[Tensor, ""], index: Int[Tensor, "replica batch"]
    ) -> Float[Tensor, "replica batch"] | None:
        """Weight of each example in the step's mean; ``None`` means 1 / batch_size each."""
        if "batch" not in numbers:
            return None
        batch = numbers["batch"][:, None]
        return (torch.arange(index.shape[1], device=index.device) < batch) / batch

    def advance(self, numbers: Numbers, state: State, accuracy: Float[Tensor, "replica"]) -> State:
        """The state after a step of this train accuracy: the one arrow from training back to the data."""
        return state

    def choose_batch(self, numbers: Numbers, most: int) -> None:
        """Choose the size of micro-batches where that is left open; best not above ``most`` examples."""

    def micro_batches(self, numbers: Numbers) -> list[tuple[int, int]]:
        """Steps, the first is 0, from which on a step has so many micro-batches for the replicas of these numbers."""
        return [(0, 1)]

    def samples(self, numbers: Numbers, state: State, first: int, steps: int) -> Int[Tensor, "replica"]:
        """Examples that each replica processes in ``steps`` steps from number ``first`` on: the papers' compute."""
        return steps * numbers.get("batch", torch.full_like(numbers["seed"], self.batch_size))

    def enumerated(self, numbers: Numbers, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        """Which replicas read the enumerated population at a step rather than draws from it; ``None`` for none."""
        return None

    def is_population(self, numbers: Numbers, step: Int[Tensor, ""]) -> bool:
        """Whether every replica's batch at a step is the whole enumerated population, each input once."""
        return False

    def enumerates(self, numbers: Numbers) -> bool:
        """Whether any replica reads the enumerated population at any step."""
        return "enumerated" in numbers and bool(numbers["enumerated"].any())

    def positions(
        self, numbers: Numbers, key: Int[Tensor, "replica 2"], step: Int[Tensor, "*replica"]
    ) -> Int[Tensor, "replica batch"]:
        """How many examples came before each of a batch, ``step`` steps after the first."""
        size = numbers.get("batch", self.batch_size)
        offset = torch.arange(self.batch_size, device=key.device)
        return (step * size)[..., None].expand(key.shape[0], 1) + offset

    # What the training step calls ---------------------------------------------------------------------------------

    @property
    def variable_settings(self) -> set[str]:
        """Every setting of the data that can differ by replica."""
        names = {*self.per_replica, "batch_ratio"} | {f"axes.{name}" for name in self.pools.variable}
        for name, intervention in self.interventions.items():
            names |= {f"interventions.{name}.{number}" for number in intervention.per_replica}
        names = {self.prefix + name for name in names}
        return names.union(*(branch.variable_settings for branch in self.branches.values()))

    def setting_numbers(self, replicas: Replicas) -> Numbers:
        """:meth:`numbers` and what every strategy has: seeds, pools, and the task's settings where they vary."""
        varied = [name for name in self.task.per_replica if f"data.task.{name}" in replicas.vary]
        columns = replicas.numbers("data.task.", self.task) if varied else {}
        numbers = {"seed": torch.tensor(replicas.seed), **self.pools.numbers(replicas, self.prefix)}
        numbers |= _prefixed("task.", {name: torch.tensor(columns[name]) for name in varied})
        numbers |= self.numbers(replicas)
        numbers |= self._batches(replicas, numbers)
        for name, intervention in self.interventions.items():
            found = intervention.numbers(self, numbers, replicas, f"{self.prefix}interventions.{name}.")
            numbers |= _prefixed(f"intervention.{name}.", found)
        for name, branch in self.branches.items():
            own = branch.setting_numbers(replicas)
            parts = [*branch.micro_batches(own), *self.micro_batches(numbers)]
            if branch.initial_state(own) or any(count > 1 for _, count in parts):
                allowed = "strategies of one batch a step, that do not wait for an accuracy"
                raise SettingError(branch.prefix.rstrip("."), type(branch).__name__, allowed)
            numbers |= _prefixed(f"stream.{name}.", own)
        if self.branches:
            owners: dict[str, ReuseDataModule] = {"": self}
            owners |= {f"stream.{name}.": branch for name, branch in self.branches.items()}
            behind = torch.stack([_end(one, _part(prefix, numbers)) for prefix, one in owners.items()]).amax(0)
            numbers |= {f"{prefix}behind": behind for prefix in owners}
        return numbers

    def _batches(self, replicas: Replicas, numbers: Numbers) -> Numbers:
        """The size of each replica's batches, where it depends on a pool."""
        key = f"{self.prefix}batch_ratio"
        ratios = replicas.column(key, self.batch_ratio)
        for ratio in ratios:
            _check_ratio(key, ratio)
        given = [ratio for ratio in ratios if ratio is not None]
        if not given:
            return {}
        sets = self.sets(numbers)
        restricted = [name for name in self.task.axes if f"axis.{name}" in numbers]
        pools, total = sets[..., 1], 0
        if len(restricted) == 1:
            pools, total = numbers[f"axis.{restricted[0]}"], self.task.axes[restricted[0]] or 0
        is_one = len(restricted) < 2 and pools.shape[1] == sets.shape[1] == 1 and bool(pools.any() or total)
        if not is_one or "batch_size" in getattr(self, "decided", ()):
            allowed = "null but for strategies with one batch a step and one pool, which stays as it is"
            raise SettingError(key, given[0], allowed)
        batches = []
        for ratio, size in zip(ratios, pools[:, 0].tolist(), strict=True):
            pool = size or total
            batch = self.batch_size if ratio is None or not pool else max(round(ratio * pool), 1)
            if batch > self.batch_size:
                allowed = f"at most batch_size / k = {self.batch_size / pool:g} for a pool of {pool}"
                raise SettingError(key, ratio, allowed)
            batches.append(batch)
        return {"batch": torch.tensor(batches)}

    def bound_task(self, numbers: Numbers) -> Task:
        """The task with its settings that vary by replica."""
        return self.task.bind(_part("task.", numbers))

    def examples(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        index: Int[Tensor, "replica batch"],
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the given indices at a step, before any intervention."""
        task: Any = self.bound_task(numbers)  # its axes are arguments of its own
        inputs, targets = task.examples(key, index, **self.pools.indices(numbers, key, index, step))
        population = self.enumerated(numbers, state, step)
        if population is not None:
            all_inputs, all_targets = task.population(key, index)
            inputs = _choose(population, all_inputs, inputs)
            targets = _choose(population, all_targets, targets)
        return inputs, targets

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
        return *self.learned(numbers, state, key, step, index), self.weights(numbers, state, step, index)

    def learned(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        index: Int[Tensor, "replica batch"],
        interventions: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the given indices as training at a step sees them.

        Args:
            interventions: after how many of them; all if ``None``.
        """
        examples = self.examples(numbers, state, key, step, index)
        return self._intervened(numbers, state, key, step, index, *examples, interventions)

    def population_targets(
        self,
        numbers: Numbers,
        state: State,
        key: Int[Tensor, "replica 2"],
        step: Int[Tensor, ""],
        index: Int[Tensor, "replica batch"],
    ) -> Tensor:
        """Targets of the population's inputs number ``index`` as training at a step sees them, if all replicas do."""
        examples = self.bound_task(numbers).population(key, index)
        return self._intervened(numbers, state, key, step, index, *examples)[1]

    def _intervened(
        self,
        numbers: Numbers,
        state: State,
        key: Tensor,
        step: Tensor,
        index: Tensor,
        inputs: Tensor,
        targets: Tensor,
        interventions: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Examples after so many of the interventions."""
        for place, (name, intervention) in enumerate([*self.interventions.items()][:interventions]):
            own = _part(f"intervention.{name}.", numbers)
            batch = Batch(self, self.bound_task(numbers), numbers, state, key, step, index, inputs, targets, place)
            inputs, targets = intervention.apply(own, batch)
        return inputs, targets

    def stream_batch(
        self, name: str, numbers: Numbers, key: Int[Tensor, "replica 2"], step: Int[Tensor, ""]
    ) -> tuple[Tensor, Tensor, Float[Tensor, "replica batch"] | None]:
        """Inputs, targets and weights of a batch of the stream ``name``."""
        branch, own = self.branches[name], _part(f"stream.{name}.", numbers)
        return branch.batch(own, {}, key, step, torch.zeros_like(step))

    def all_samples(self, numbers: Numbers, state: State, first: int, steps: int) -> Int[Tensor, "replica"]:
        """:meth:`samples` of the strategy and of its streams together."""
        total = self.samples(numbers, state, first, steps)
        for name, branch in self.branches.items():
            total = total + branch.samples(_part(f"stream.{name}.", numbers), {}, first, steps)
        return total

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
        for branch in self.branches.values():
            branch.schedule(total_steps, steps_per_batch)

    def train_dataloader(self) -> Any:
        return Steps(self)

    def val_dataloader(self) -> Any:
        return [torch.zeros(2, dtype=torch.int64)]

    def test_dataloader(self) -> Any:
        return self.val_dataloader()


def only_set(size: Int[Tensor, "replica"]) -> Int[Tensor, "replica 1 2"]:
    """One phase, whose set is the first ``size`` examples."""
    return torch.stack((torch.zeros_like(size), size), dim=-1)[:, None]


def _end(data: ReuseDataModule, numbers: Numbers) -> Int[Tensor, "replica"]:
    """The first index behind the sets that a strategy reuses, but for the enumerated population."""
    sets = data.sets(numbers)
    if data.enumerates(numbers):
        sets = torch.where(numbers["enumerated"].view(len(sets), -1, 1), 0, sets)
    return sets.sum(-1).amax(1)


def _check_ratio(key: str, ratio: Any) -> None:
    """Raise :class:`SettingError` unless it is a number above 0, or ``None``."""
    if ratio is not None and check_number(key, ratio, 0, math.inf, open_high=True) == 0:
        raise SettingError(key, ratio, "a number above 0, or null")


def _prefixed(prefix: str, numbers: Numbers) -> Numbers:
    return {prefix + name: value for name, value in numbers.items()}


def _part(prefix: str, numbers: Numbers) -> Numbers:
    return {name.removeprefix(prefix): value for name, value in numbers.items() if name.startswith(prefix)}


def _choose(replica: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(replica.view(-1, *[1] * (first.dim() - 1)), first, second)
