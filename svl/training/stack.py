"""The replica stack: R independent trainings of one plain network, advanced together."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl.checks import check_choice
from svl.data.draw import Settings
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.optim.from_run import FromRun, initial
from svl.optim.initialisation import INITIALISATIONS
from svl.training import contents, memory
from svl.training import network as plain_network
from svl.training.choice import Choice
from svl.training.engine import Engine
from svl.training.fastest import check_route, chosen_engine
from svl.training.initial_tensors import InitialTensors
from svl.training.measuring import Measuring
from svl.training.routes.route import Tick
from svl.training.spec import ExecutionSettings, StackSpec, TrainingSettings
from svl.training.state import StackState, copy_into, stack_tensors
from svl.training.team import Team


class ReplicaStack(nn.Module):
    """R replicas of one network with their optimizer states and records: the training state, independent of Lightning.

    A replica equals the same network trained alone with the same key. A replica whose loss becomes non-finite is frozen
    as it was; it never touches the others.

    Args:
        data: the reuse strategy, whose run length is fixed (:meth:`~svl.data.reuse.ReuseDataModule.schedule`).
        training: what is trained.
        execution: how it is computed.

    Attributes:
        stopped_at: the step at which each replica was stopped, ``[replica]``; -1 where it is trained.

    Raises:
        SettingError: for settings that do not fit together.
    """

    def __init__(
        self, data: ReuseDataModule, training: TrainingSettings, execution: ExecutionSettings | None = None
    ) -> None:
        super().__init__()
        replicas = self.replicas = training.replicas
        if isinstance(training.init, FromRun) and training.parameterisation:
            allowed = "pytorch or gaussian with model.parameterisation, which multiplies initial weights"
            raise SettingError("model.init", training.init.run, allowed)
        if not isinstance(training.init, FromRun):
            check_choice("model.init", training.init, INITIALISATIONS)
        build = partial(initial, partial(plain_network.make, training.network, data.task), training.init)
        plain, name = build(replicas.first_seed), plain_network.name_of_network(training.network)
        memory.check_state(replicas, plain)
        contents.check_tensors(plain, name)
        contents.check_drawing(plain, build(replicas.first_seed), name)
        seeds = range(replicas.first_seed, replicas.first_seed + replicas.seeds)
        started = InitialTensors(build, seeds, name)
        self.spec = StackSpec.of(data, training, plain, execution or ExecutionSettings(), started.differing)
        memory.check_batch(self.spec)
        check_route(self.spec)
        self.network = copy.deepcopy(plain)
        stack_tensors(self.network, started, replicas, self.spec)
        places = {name: f"model.interventions.{name}." for name in self.spec.interventions}
        interventions = {name: part.prepare(replicas, places[name]) for name, part in self.spec.interventions.items()}
        self.state = StackState(self.spec, self.network, replicas.key(), interventions)
        self.measuring = Measuring(self.spec, self.state)
        self._compiled: set[Any] = set()
        self._has_evaluated = self._has_gradients = False
        self._resumed: Choice | None = None
        self.stopped_at = torch.full((len(replicas),), -1)

    # State ----------------------------------------------------------------------------------------------------------

    @property
    def data(self) -> ReuseDataModule:
        """The reuse strategy."""
        return self.spec.data

    @property
    def settings(self) -> Settings:
        """The strategy's settings, by name ``[replica, ...]``."""
        return self.state.settings

    @property
    def key(self) -> Tensor:
        """Each replica's key ``[replica, 2]``."""
        return self.state.key

    @property
    def record(self) -> dict[str, Tensor]:
        """What is remembered of the training, by name ``[replica]``; ``diverged_at`` is -1 where a replica has not."""
        return self.state.record

    def parameters_by_name(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """The stacked parameters under the plain network's own names."""
        return self.state.parameters()

    def get_extra_state(self) -> dict[str, Any]:
        return self.state.checkpoint()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.state.restore(state)

    @property
    def route(self) -> tuple[str, bool | None] | None:
        """The word of the route that computes the stack, and whether it is compiled; ``None`` before any step."""
        engine: Engine | None = self.__dict__.get("engine")
        choice = engine.plan.choice if engine else self._resumed
        return choice and choice[:2]

    @route.setter
    def route(self, route: tuple[str, bool | None] | None) -> None:
        """Go on by the route that computed the stack before; ``None`` leaves the choice open."""
        if route is not None:
            self._resumed = Choice(*route, "another route has computed the fit so far")
            self.__dict__.pop("engine", None)

    def join(self, team: Team) -> None:
        """Share the work with other processes from now on; before the first step.

        Raises:
            SettingError: for what cannot be divided.
        """
        if team.divides_batches and self.spec.sampler:
            allowed = f"at most {len(self.replicas)}, one for each replica, where the samples' own gradients are used"
            raise SettingError("trainer.devices", team.size, allowed)
        reason = self.spec.contents.needs_whole_batches
        if team.divides_batches and reason:
            allowed = f"at most {len(self.replicas)}, one for each replica: the network {reason}"
            raise SettingError("trainer.devices", team.size, allowed)
        self.spec = self.measuring.spec = self.spec.shared_by(team)

    def exchange(self) -> None:
        """Broadcast each process's replicas to all others."""
        # Only tensors on the device can be sent.
        _ = self.engine
        self.spec.team.exchange(self.state.trained())

    @contextmanager
    def having(self, row: Float[Tensor, "replica number"]) -> Iterator[None]:
        """A context in which each replica has other weights, to measure them; afterwards it has its own again.

        Args:
            row: all weights, as an intervention on weights is given them.
        """
        packed = self.state.packed
        before = {label: matrix.clone() for label, matrix in packed.items()}
        try:
            copy_into(packed, self.spec.packing.matrices(row))
            yield
        finally:
            copy_into(packed, before)

    # Training -------------------------------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Engine:
        """The plan for the present device, put to work at the first step."""
        device = next(self.network.parameters()).device
        self.state.to(device)
        self.spec.network.to(device)
        return chosen_engine(self.spec, device, lambda plan: Engine.of(plan, self.spec, self.state), self._resumed)

    def train_steps(self, start: int, count: int) -> None:
        """Advance every replica by ``count`` steps, of which the first is step number ``start``.

        Blocks of replicas that have all stopped (:attr:`stopped_at`) stay as they are.
        """
        route, run = self.engine.route, self.engine.runner.run
        blocks = [block for block in self.engine.blocks if (self.stopped_at[block.rows] < 0).any()]
        clock = self._clock(start, count)
        begun = {steps.first for block in blocks for steps in block.ranges}

        def advance(ticks: list[Tick], place: int) -> None:
            route.advance(blocks[place], ticks)

        # A step of a new kind may compile, which blocks must not do side by side.
        for number in sorted({start, *(first for first in begun if start < first < start + count)}):
            units = {route.compiled_unit(block, number) for block in blocks}
            if units - self._compiled:
                place = number - clock[0].number
                run(partial(advance, clock[:place]), len(blocks))
                run(partial(advance, clock[place : place + 1]), len(blocks), in_turn=True)
                self._compiled |= units
                clock = clock[place + 1 :]
        run(partial(advance, clock), len(blocks))
        self.record["samples"] += self.data.all_samples(self.settings, self.state.data, start, count)

    def _clock(self, start: int, count: int) -> list[Tick]:
        device, rates = self.key.device, self.spec.rates
        rates = torch.ones((), dtype=torch.float64).expand(count) if rates is None else rates[start:][:count]
        steps = torch.arange(start, start + count, device=device)
        return list(map(Tick, range(start, start + count), steps, rates.to(device)))

    def computed_by(self) -> dict[str, Any]:
        """The routes that have computed the stack since it was made, for the summary; empty if nothing was computed."""
        engine: Engine | None = self.__dict__.get("engine")
        if engine is None:
            return {}
        plan = engine.plan
        routes: dict[str, Any] = {"steps": engine.route.name, "device": str(plan.device)}
        if engine.route is engine.steps:
            routes |= {"gradients": plan.batch_route.name, "is_compiled": engine.steps.is_compiled}
        if plan.population_route:
            routes["population"] = plan.population_route.name
        return routes

    # Measuring ------------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[str]:
        """Names of what is measured of every fit."""
        return self.measuring.names

    def evaluate(self) -> dict[str, Float[Tensor, "replica"]]:
        """Loss, accuracy and the task's measures of every replica on its own test set."""
        sums = self.test_sums()
        return self.measuring.on_tests({name: total / self.data.test_size for name, total in sums.items()})

    def test_sums(self) -> dict[str, Float[Tensor, "replica"]]:
        """Sums over every replica's own test set: ``loss``, ``accuracy`` and the task's measures."""
        engine, team = self.engine, self.spec.team
        function = engine.evaluation.on_tests
        names = self.measuring.summed
        total = torch.zeros(len(self.replicas), len(names), device=self.key.device)
        starts = engine.evaluation.starts
        if team.divides_batches:
            starts = starts[team.rank :: team.size]

        def measure(number: int) -> None:
            block = engine.blocks[number]
            has_score = engine.route.has_score
            for sums in [engine.route.score(block)] if has_score else [function(block, start)[0] for start in starts]:
                total[block.rows] += sums.T

        is_eager = not function.is_compiled and not engine.route.has_score
        engine.runner.run(measure, len(engine.blocks), in_turn=not self._has_evaluated, is_eager=is_eager)
        self._has_evaluated = True
        team.exchange(total)
        team.add_up(total)
        return dict(zip(names, total.T, strict=True))

    def predictions(self) -> Iterator[tuple[slice, Float[Tensor, "replica batch ..."], Tensor]]:
        """The outputs for every test example and its target, for some replicas and some examples at a time.

        Yields:
            Which replicas; their outputs; the targets ``[replica, batch, ...]``. In a team that shares the replicas,
            only those of this process.
        """
        evaluation, rows = self.engine.evaluation, self.engine.plan.evaluation_rows
        for number, start in enumerate(evaluation.starts):
            valid = slice(0, self.data.test_size - number * rows)
            for block in self.engine.blocks:
                outputs, targets = evaluation.predictions(block.tensors, start)
                yield block.rows, outputs[:, valid], targets[:, valid]

    def gradients(self, step: int, count: int) -> Float[Tensor, "batch replica number"]:
        """Gradients at the present parameters of the strategy's batches for ``count`` steps from ``step`` on.

        Numbers lie as :meth:`~svl.training.packing.Packing.places` says; those of frozen parameters are 0. Batches
        repeat where a set is smaller than they are together. Nothing is trained.
        """
        engine, device = self.engine, self.key.device
        function, width = engine.evaluation.gradient, sum(p.shape[1] for p in self.state.packed.values())
        rows = torch.empty(count, len(self.replicas), width, device=device)
        first = torch.tensor(step, device=device)

        def measure(number: int) -> None:
            for row, ahead in zip(rows, torch.arange(count, device=device), strict=True):
                row[engine.blocks[number].rows] = function(engine.blocks[number], first, ahead)[0]

        is_eager = not function.is_compiled
        engine.runner.run(measure, len(engine.blocks), in_turn=not self._has_gradients, is_eager=is_eager)
        self._has_gradients = True
        self.spec.team.exchange(list(rows))
        return rows

    def references(self) -> dict[str, Float[Tensor, "replica"]]:
        """Test losses of the task's reference predictors; see :meth:`~svl.training.measuring.Measuring.references`."""
        _ = self.engine
        return self.measuring.references

    def train_metrics(self) -> dict[str, Float[Tensor, "replica"]]:
        """Mean loss and accuracy of the batches since the last call, each before the step that used it; NaN if none."""
        return self.measuring.of_training()
