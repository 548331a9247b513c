"""The base of every data-reuse strategy: a rule for indices, and the examples that they stand for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_whole
from svl.data.axes import Axes, Axis
from svl.data.batch_ratio import batch_sizes, check_ratio
from svl.data.draw import Draw, MicroBatch, Settings, State
from svl.data.step_loaders import StepLoaders
from svl.data.streams import make_stream, stream_settings
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention
from svl.replicas import Replicas
from svl.tasks.task import Task


class ReuseDataModule(StepLoaders, ABC):
    """A data-reuse strategy: a rule ``(key, step, replica) -> indices`` over the examples of a task.

    A subclass writes :meth:`indices` and, where needed, :meth:`prepare`, :meth:`sets`, :meth:`initial_state` and
    :meth:`advance`. All but :meth:`prepare` are pure functions of tensors whose first axis is the replica, so the
    compiled training step calls them itself.

    Args:
        task: what is learned.
        batch_size: examples of one step.
        test_size: examples of the test set, which has its own range of counters; ignored for a task that fixes its
            test set.
        axes: pools on the task's axes of diversity, by name.
        batch_ratio: B / k: batches in proportion to the pool, of k values of the one axis that is restricted, or else
            of k examples; at most ``batch_size``, which an axis without end and fresh data have. Can vary by replica.
            Source: Kotha et al. 2025, figure 9.
        interventions: changes of the training examples, by name, one after the other; see :mod:`svl.interventions`.
        streams: further strategies, by name, from whose batches parameter groups can take their gradients
            (``model.groups.<name>.stream``); fresh data begin behind the sets of all strategies. Their ``test_size`` is
            ignored. Source: Liu et al. 2026, figure 30.

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
        super().__init__(task)
        check_whole("batch_size", batch_size, 1)
        check_whole("test_size", test_size, 1)
        check_ratio("batch_ratio", batch_ratio)
        self.batch_size, self.axes = batch_size, axes or {}
        self.test_size = task.test_size or test_size
        self.batch_ratio, self.interventions, self.streams = batch_ratio, interventions or {}, streams or {}
        self.pools = Axes(self.axes, task)
        self.branches = {name: make_stream(name, make, task, self.prefix) for name, make in self.streams.items()}
        for place, (name, intervention) in enumerate(self.interventions.items()):
            key, kind = f"interventions.{name}", type(intervention).__name__
            if place and intervention.changes_inputs:
                allowed = f"the first place: it gives the task's own labels to the inputs that {kind} changes"
                raise SettingError(key, kind, allowed)
            intervention.check(key, self)

    # The rule: step to indices ------------------------------------------------------------------------------------

    def prepare(self, replicas: Replicas) -> Settings:
        """The settings that differ by replica, as tensors ``[replica, ...]``; called once, before training.

        What all replicas share and the other methods need, such as the :class:`~svl.data.pool.Pool` of a strategy, is
        kept on the strategy here and nowhere else.
        """
        return {}

    def sets(self, settings: Settings) -> Int[Tensor, "replica phase 2"]:
        """First index and number of examples of the set that each phase reuses; number 0 where data are fresh."""
        return torch.zeros(len(settings["seed"]), 1, 2, dtype=torch.int64)

    def phase(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Int[Tensor, "replica"]:
        """Each replica's phase at a step, from 0."""
        return torch.zeros_like(settings["seed"])

    def ahead(self, state: State, steps: Int[Tensor, "*replica"]) -> State:
        """The state ``steps`` steps later, of all replicas or of each, if no phase ends before."""
        return state

    def certain_steps(self, settings: Settings, state: State) -> Int[Tensor, "replica"]:
        """For how many steps, at least 1, the indices follow from :meth:`ahead`, whatever the accuracies.

        A strategy that decides only now and then says when, and is asked for the examples of all steps up to then.
        """
        return torch.ones_like(settings["seed"])

    def log(
        self, settings: Settings, state: State
    ) -> tuple[Int[Tensor, "replica phase"], Float[Tensor, "replica phase"]]:
        """The first step of each phase, -1 if it is open; and the train accuracy that ended it, NaN if none did."""
        began = torch.zeros_like(settings["seed"])[:, None]
        return began, torch.full(began.shape, math.nan)

    def initial_state(self, settings: Settings) -> State:
        """What the strategy remembers from step to step, as tensors ``[replica, ...]``."""
        return {}

    @abstractmethod
    def indices(self, draw: Draw) -> Int[Tensor, "replica batch"]:
        """Indices of the examples of a micro-batch."""

    def weights(self, draw: Draw, index: Int[Tensor, "replica batch"]) -> Float[Tensor, "replica batch"] | None:
        """Weight of each example in the step's mean; ``None`` means 1 / batch_size each."""
        if "batch" not in draw.settings:
            return None
        batch = draw.settings["batch"][:, None]
        return (torch.arange(index.shape[1], device=index.device) < batch) / batch

    def advance(self, settings: Settings, state: State, accuracy: Float[Tensor, "replica"]) -> State:
        """The state after a step of this train accuracy: the one arrow from training back to the data."""
        return state

    def examples_at_once(self, settings: Settings, most: int) -> int:
        """Examples of a micro-batch; best not above ``most`` where the strategy is free to choose."""
        return self.batch_size

    def micro_batches(self, settings: Settings, size: int) -> list[tuple[int, int]]:
        """Pairs ``(first step, micro-batches per step from there on)`` for these replicas; the first step is 0.

        Args:
            size: examples of a micro-batch.
        """
        return [(0, 1)]

    def samples(self, settings: Settings, state: State, first: int, steps: int) -> Int[Tensor, "replica"]:
        """Examples that each replica processes in ``steps`` steps from number ``first`` on: the papers' compute."""
        return steps * settings.get("batch", torch.full_like(settings["seed"], self.batch_size))

    def enumerated(self, settings: Settings, state: State, step: Int[Tensor, ""]) -> Tensor | None:
        """Which replicas read the enumerated population at a step rather than draws from it; ``None`` for none."""
        return None

    def is_population(self, settings: Settings, step: Int[Tensor, ""]) -> bool:
        """Whether every replica's batch at a step is the whole enumerated population, each input once."""
        return False

    def enumerates(self, settings: Settings) -> bool:
        """Whether any replica reads the enumerated population at any step."""
        return "enumerated" in settings and bool(settings["enumerated"].any())

    def positions(self, draw: Draw, steps: Int[Tensor, "*replica"]) -> Int[Tensor, "replica batch"]:
        """Each example's place in the sequence of all examples drawn so far, ``steps`` steps after the first."""
        size = draw.settings.get("batch", draw.size)
        offset = torch.arange(draw.size, device=draw.key.device)
        return (steps * size)[..., None].expand(draw.key.shape[0], 1) + offset

    @property
    def makes_examples_itself(self) -> bool:
        """Whether a subclass changes how indices become batches or test examples, which some routes do themselves."""
        methods = ("advance", "micro_batches")
        is_own = any(getattr(type(self), name) is not getattr(ReuseDataModule, name) for name in methods)
        return is_own or self.changes_examples

    @property
    def changes_examples(self) -> bool:
        """Whether a subclass changes how indices become examples."""
        methods = ("batch", "learned", "examples", "test_batch")
        return any(getattr(type(self), name) is not getattr(ReuseDataModule, name) for name in methods)

    @property
    def has_parts(self) -> bool:
        """Whether steps can have several micro-batches, or examples of unequal weight."""
        names = ("weights", "micro_batches", "examples_at_once")
        return any(getattr(type(self), name) is not getattr(ReuseDataModule, name) for name in names)

    # Settings that differ by replica ------------------------------------------------------------------------------

    @property
    def variable_settings(self) -> set[str]:
        """Every setting of the data that can differ by replica."""
        names = {*self.per_replica, "batch_ratio"} | {f"axes.{name}" for name in self.pools.variable}
        for name, intervention in self.interventions.items():
            names |= {f"interventions.{name}.{setting}" for setting in intervention.per_replica}
        names = {self.prefix + name for name in names}
        return names.union(*(branch.variable_settings for branch in self.branches.values()))

    def settings_of(self, replicas: Replicas) -> Settings:
        """All settings of the replicas: the strategy's (:meth:`prepare`) and those that every strategy has.

        ``seed``; ``axes``, by axis; ``task``, the task's settings where they vary; ``batch``, the size of each
        replica's batches where it depends on a pool; ``interventions`` and ``streams``, by name.
        """
        varied = [name for name in self.task.per_replica if f"data.task.{name}" in replicas.vary]
        columns = replicas.columns("data.task.", self.task) if varied else {}
        settings: Settings = {
            "seed": torch.tensor(replicas.seed),
            "axes": self.pools.prepare(replicas, self.prefix),
            "task": {name: torch.tensor(columns[name]) for name in varied},
        }
        settings |= self.prepare(replicas)
        ratio_key = f"{self.prefix}batch_ratio"
        ratios = replicas.column(ratio_key, self.batch_ratio)
        for ratio in ratios:
            check_ratio(ratio_key, ratio)
        if any(ratio is not None for ratio in ratios):
            settings["batch"] = batch_sizes(self, ratio_key, ratios, settings)
        settings["interventions"] = {
            name: intervention.prepare(self, settings, replicas, f"{self.prefix}interventions.{name}.")
            for name, intervention in self.interventions.items()
        }
        settings["streams"] = stream_settings(self, settings, replicas)
        return settings

    def bound_task(self, settings: Settings) -> Task:
        """The task with its settings that vary by replica."""
        return self.task.bind(settings["task"])

    # Examples: indices to inputs and targets ----------------------------------------------------------------------

    def batch(self, draw: Draw) -> MicroBatch:
        """Inputs, targets and weights of one micro-batch of every replica, as training sees them."""
        index = self.indices(draw)
        return MicroBatch(*self.learned(draw, index), self.weights(draw, index))

    def stream_batch(self, name: str, draw: Draw) -> MicroBatch:
        """The batch of the stream ``name``."""
        stream = self.branches[name]
        return stream.batch(draw._replace(settings=draw.settings["streams"][name], state={}, size=stream.batch_size))

    def learned(
        self, draw: Draw, index: Int[Tensor, "replica batch"], interventions: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the given indices as training at a step sees them.

        Args:
            interventions: after how many of them; all if ``None``.
        """
        return self._intervened(draw, index, *self.examples(draw, index), interventions)

    def examples(self, draw: Draw, index: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the given indices at a step, before any intervention."""
        task: Any = self.bound_task(draw.settings)  # its axes are arguments of its own
        inputs, targets = task.examples(draw.key, index, **self.pools.indices(draw, index))
        population = self.enumerated(draw.settings, draw.state, draw.step)
        if population is not None:
            all_inputs, all_targets = task.population(draw.key, index)
            inputs = _choose(population, all_inputs, inputs)
            targets = _choose(population, all_targets, targets)
        return inputs, targets

    def population_targets(self, draw: Draw, index: Int[Tensor, "replica batch"]) -> Tensor:
        """Targets of the population's inputs number ``index`` as training at a step sees them, if all replicas do."""
        examples = self.bound_task(draw.settings).population(draw.key, index)
        return self._intervened(draw, index, *examples)[1]

    def _intervened(
        self, draw: Draw, index: Tensor, inputs: Tensor, targets: Tensor, interventions: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Examples after so many of the interventions."""
        task = self.bound_task(draw.settings)
        for place, (name, intervention) in enumerate([*self.interventions.items()][:interventions]):
            batch = Batch(self, task, draw, index, inputs, targets, place)
            inputs, targets = intervention.apply(draw.settings["interventions"][name], batch)
        return inputs, targets

    def test_batch(
        self, settings: Settings, key: Int[Tensor, "replica 2"], start: int | Int[Tensor, ""], count: int
    ) -> tuple[Tensor, Tensor]:
        """Inputs and targets number ``start`` to ``start + count - 1`` of every replica's test set."""
        index = (start + torch.arange(count, device=key.device)).expand(key.shape[0], -1)
        return self.bound_task(settings).test_examples(key, index)

    def all_samples(self, settings: Settings, state: State, first: int, steps: int) -> Int[Tensor, "replica"]:
        """:meth:`samples` of the strategy and of its streams together."""
        total = self.samples(settings, state, first, steps)
        for name, stream in self.branches.items():
            total = total + stream.samples(settings["streams"][name], {}, first, steps)
        return total


def only_set(size: Int[Tensor, "replica"]) -> Int[Tensor, "replica 1 2"]:
    """One phase, whose set is the first ``size`` examples."""
    return torch.stack((torch.zeros_like(size), size), dim=-1)[:, None]


def _choose(replica: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where(replica.view(-1, *[1] * (first.dim() - 1)), first, second)
