"""The replica stack: R independent trainings of one plain network, advanced together."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError, nearest
from svl.interventions.on_gradients import (
    BatchGradientIntervention,
    GradientIntervention,
    SampleGradientIntervention,
)
from svl.optim.initialisation import INITIALISATIONS, Initialisation, initial_network
from svl.optim.parameterisation import Factors, Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.schedule import Schedule
from svl.optim.schedule import factors as factors_of
from svl.replicas import Replicas, broadcast_to, replace
from svl.training import network
from svl.training.blocks import view
from svl.training.compilation import BlockFunction
from svl.training.engine import Engine
from svl.training.groups import ParameterGroup, stack_hyper
from svl.training.losses import LossName
from svl.training.network import Build
from svl.training.packing import Packing
from svl.training.step import Step, copy_into
from svl.training.team import Team

Compile = Literal["auto", "always", "never"]
Precision = Literal["32-true", "bf16-mixed"]
_REFERENCE_EXAMPLES = 512


class ReplicaStack(nn.Module):
    """R replicas of one network with their optimizer states and records; all of a fit but Lightning.

    A replica equals the same network trained alone with the same key. A replica whose loss becomes non-finite is frozen
    as it was; it never touches the others.

    Args:
        data: the reuse strategy, whose run length is fixed (:meth:`~svl.data.reuse.ReuseDataModule.schedule`).
        build: makes one plain network from the task's input shape and output dimension; see :mod:`.network`.
        loss: name of the loss.
        rule: the optimizer.
        replicas: arms and seeds.
        groups: parameter groups by name.
        init: initial weights.
        parameterisation: factors on initial values and rates.
        schedules: learning-rate schedules, by name; multiplied.
        interventions: on the gradients, by name.
        compile: ``auto`` compiles what is called often enough to gain from it.
        fused: in a compiled fit, use what is written by hand: C++ kernels for MLPs and for the order of epochs, or a
            Triton kernel on a GPU, and outer sums for the gradient over a population of products (:mod:`.factored`).
        block_size: replicas that are trained together on one core; chosen to fit its cache if ``None``.
        threads: cores to use; all if ``None``.
        precision: ``bf16-mixed`` for matrix products in bfloat16.
        evaluations: how many the fit will have, where that is known.

    Raises:
        SettingError: for settings that do not fit together.
    """

    def __init__(
        self,
        data: ReuseDataModule,
        build: Build,
        loss: LossName,
        rule: UpdateRule,
        replicas: Replicas,
        groups: dict[str, ParameterGroup] | None = None,
        init: Initialisation = "pytorch",
        parameterisation: Parameterisation | None = None,
        schedules: Mapping[str, Schedule] | None = None,
        interventions: Mapping[str, GradientIntervention] | None = None,
        compile: Compile = "auto",
        fused: bool = True,
        block_size: int | None = None,
        threads: int | None = None,
        precision: Precision = "32-true",
        evaluations: int | None = None,
    ) -> None:
        super().__init__()
        self.data, self.loss, self.rule, self.replicas = data, loss, rule, replicas
        self.compilation, self.fused, self.threads, self.block_size = compile, fused, threads, block_size
        self.precision, self.evaluations = precision, evaluations
        if init not in INITIALISATIONS:
            raise SettingError("model.init", init, ", ".join(INITIALISATIONS))
        one = {s: initial_network(lambda: network.make(build, data.task), s, init) for s in set(replicas.seed)}
        template = one[replicas.first_seed]
        self.example_numbers, self._measures = network.check(build, template, data.task, loss)
        for name in data.task.per_replica:
            for value in replicas.vary.get(f"data.task.{name}", ()):
                if loss not in replace(data.task, **{name: value}).losses:
                    raise SettingError(f"data.task.{name}", value, f"values that the loss {loss} fits")
        names = [name for name, _ in template.named_parameters()]
        factors = self._factors(parameterisation, template, build) if parameterisation else {}
        self.hyper = stack_hyper(names, rule, groups or {}, replicas, factors)
        self.numbers = data.setting_numbers(replicas)
        self._check_streams(groups or {})
        # One number for every step; a schedule's, or always the same 1.
        self.rates = factors_of(schedules, data.total_steps) if schedules else None
        self.key = replicas.key()
        # In a list, so that the template's own parameters are not registered as this module's.
        self._template = [copy.deepcopy(template)]
        self.network = copy.deepcopy(template)
        for name in names:
            seeds = torch.stack([one[s].get_parameter(name).detach() for s in replicas.seed])
            owner, _, last = name.rpartition(".")
            stacked = seeds * broadcast_to(self.hyper.scale[name], seeds)
            setattr(self.network.get_submodule(owner), last, nn.Parameter(stacked, requires_grad=False))
        self.packing = Packing({name: p.shape for name, p in template.named_parameters()}, self.hyper)
        self._pack({name: rule.state(self.network.get_parameter(name).data) for name in names})
        self.interventions = dict(interventions or {})
        self._check_interventions()
        prefix = "model.interventions."
        self.intervention_numbers = {n: i.numbers(replicas, f"{prefix}{n}.") for n, i in self.interventions.items()}
        row = self.packing.row(self._packed, self.packing.frozen)
        stateful = {n: i for n, i in self.interventions.items() if isinstance(i, BatchGradientIntervention)}
        self.memory = {name: intervention.state(row) for name, intervention in stateful.items()}
        count = len(replicas)
        self.record: dict[str, Tensor] = {
            "diverged_at": torch.full((count,), -1),
            "samples": torch.zeros(count, dtype=torch.int64),
            "loss": torch.zeros(count),
            "correct": torch.zeros(count),
            "steps": torch.zeros(count, dtype=torch.int64),
        }
        self.data_state = data.initial_state(self.numbers)
        self.team = Team()
        self._engine: Engine | None = None
        # What is compiled apart: the shapes of blocks, and what a step of theirs calls.
        self._trained_kinds: set[tuple[Any, BlockFunction]] = set()
        self._has_evaluated = self._has_gradients = False
        self._references: dict[str, Tensor] | None = None

    def _factors(self, parameterisation: Parameterisation, template: nn.Module, build: Build) -> dict[str, Factors]:
        def make(**settings: Any) -> nn.Module:
            with torch.random.fork_rng(devices=[]):
                return network.make(partial(build, **settings), self.data.task)

        columns = self.replicas.numbers("model.parameterisation.", parameterisation)
        numbers = {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}
        return parameterisation.factors(template, make, self.rule, numbers)

    def _check_streams(self, groups: Mapping[str, ParameterGroup]) -> None:
        """Raise :class:`SettingError` unless every group's stream exists and every stream has a group."""
        known = self.data.streams
        for name, group in groups.items():
            if group.stream is not None and group.stream not in known:
                allowed = ", ".join(known) or "none: there are no data.streams"
                raise SettingError(f"model.groups.{name}.stream", group.stream, allowed + nearest(group.stream, known))
        for name in known:
            if name not in self.hyper.stream.values():
                raise SettingError(f"data.streams.{name}", name, "streams that a model.groups.<name>.stream names")

    def _check_interventions(self) -> None:
        """Raise :class:`SettingError` unless the samples' own gradients can be had where they are needed."""
        for place, (name, one) in enumerate(self.interventions.items()):
            if not isinstance(one, SampleGradientIntervention):
                continue
            key, given = f"model.interventions.{name}", type(one).__name__
            index = torch.zeros(len(self.replicas), self.data.batch_size, dtype=torch.int64)
            if place:
                raise SettingError(key, given, "the first place: it needs the gradients of the samples")
            weights = self.data.weights(self.numbers, {}, torch.tensor(0), index)
            if self.data.streams or weights is not None:
                raise SettingError(key, given, "strategies without streams, whose batches are all of one size")

    def _pack(self, rule_state: dict[str, dict[str, Tensor]]) -> None:
        """Lay parameters and optimizer state out as matrices; the named ones are views of these from now on."""
        self._packed = self.packing.pack(self.parameters_by_name())
        for name, part in self.packing.unpack(self._packed).items():
            self.network.get_parameter(name).data = part
        parts = next(iter(rule_state.values()))
        packed = {part: self.packing.pack({n: state[part] for n, state in rule_state.items()}) for part in parts}
        self._packed_rule = {label: {part: packed[part][label] for part in parts} for label in self.packing.names}
        views = {part: self.packing.unpack(matrices) for part, matrices in packed.items()}
        self.rule_state = {name: {part: views[part][name] for part in parts} for name in rule_state}

    # State ----------------------------------------------------------------------------------------------------------

    def parameters_by_name(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """The stacked parameters under the plain network's own names."""
        return {name: parameter.data for name, parameter in self.network.named_parameters()}

    def get_extra_state(self) -> dict[str, Any]:
        return {"rule": self.rule_state, "record": self.record, "data": self.data_state, "memory": self.memory}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for mine, saved in (
            (self.rule_state, state["rule"]),
            (self.record, state["record"]),
            (self.data_state, state["data"]),
            (self.memory, state["memory"]),
        ):
            copy_into(mine, saved)

    def join(self, team: Team) -> None:
        """Share the work with other processes from now on; before the first step.

        Raises:
            SettingError: for what cannot be divided.
        """
        if team.divides_batches and any(isinstance(i, SampleGradientIntervention) for i in self.interventions.values()):
            allowed = f"at most {len(self.replicas)}, one for each replica, where the samples' own gradients are used"
            raise SettingError("trainer.devices", team.size, allowed)
        self.team = team

    def exchange(self) -> None:
        """Have every process know what the replicas of all have come to."""
        # Only what is on the device can be sent.
        self._prepare()
        self.team.exchange([self._packed, self._packed_rule, self.record, self.data_state, self.memory])

    # Training -------------------------------------------------------------------------------------------------------

    def train_steps(self, start: int, count: int) -> None:
        """Advance every replica by ``count`` steps, of which the first is step number ``start``."""
        engine = self._prepare()
        blocks, run = engine.blocks, engine.runner.run
        steps = self._clock(start, count)
        begun = {stretch.first for block in blocks for stretch in block.stretches}
        # A step of a new kind may compile, which blocks must not do side by side.
        for number in sorted({start, *(first for first in begun if start < first < start + count)}):
            kinds = {(block.shapes, engine.step.parts(block, number)[0]) for block in blocks}
            if kinds - self._trained_kinds:
                place = number - steps[0][0]
                run(partial(self._advance_block, steps[:place]), len(blocks))
                run(partial(self._advance_block, steps[place : place + 1]), len(blocks), in_turn=True)
                self._trained_kinds |= kinds
                steps = steps[place + 1 :]
        run(partial(self._advance_block, steps), len(blocks))
        self.record["samples"] += self.data.all_samples(self.numbers, self.data_state, start, count)

    def _clock(self, start: int, count: int) -> list[tuple[int, Int[Tensor, ""], Float[Tensor, ""]]]:
        """Step numbers, also as tensors, and what multiplies the rates at each."""
        device = self.key.device
        rates = torch.ones((), dtype=torch.float64).expand(count) if self.rates is None else self.rates[start:][:count]
        steps = range(start, start + count)
        return list(zip(steps, torch.arange(start, start + count, device=device), rates.to(device), strict=True))

    def _advance_block(self, steps: list[tuple[int, Int[Tensor, ""], Float[Tensor, ""]]], place: int) -> None:
        engine = self._prepare()
        block = engine.blocks[place]
        if engine.fused_sgd:
            return engine.fused_sgd(block, steps)
        for number, step, rate in steps:
            function, parts = engine.step.parts(block, number)
            if function is engine.step.whole:
                function(block, step, rate, engine.micro[0])
                continue
            for part in engine.micro[:parts]:
                function(block, step, part)
            self.team.add_up(block.tensors.get("total"))
            engine.step.apply(block, step, rate)

    def _prepare(self) -> Engine:
        """The engine, made at the first step."""
        if self._engine is None:
            self._to(next(self.network.parameters()).device)
            self._engine = Engine(
                self,
                {
                    "params": self._packed,
                    "rule": self._packed_rule,
                    "record": {k: v for k, v in self.record.items() if k != "samples"},
                    "data": self.data_state,
                    "numbers": self.numbers,
                    "key": self.key,
                    "hyper": self.packing.rule,
                    "frozen": self.packing.frozen,
                    "intervention": self.intervention_numbers,
                    "memory": self.memory,
                },
            )
        return self._engine

    @property
    def step(self) -> Step:
        """What happens to a block's tensors at a step."""
        return self._prepare().step

    @property
    def template(self) -> nn.Module:
        """One plain network, for its modules; its parameters are swapped for each replica's."""
        return self._template[0]

    def _to(self, device: torch.device) -> None:
        packing = self.packing
        own = (self.rule_state, self.record, self.data_state, self.numbers, self.memory, self.intervention_numbers)
        for nest in (*own, packing.rule, packing.frozen):
            _move(nest, device)
        self._pack(self.rule_state)
        self.key = self.key.to(device)
        self.template.to(device)

    # Measuring ------------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Float[Tensor, "replica"]]:
        """Loss, accuracy and the task's measures of every replica on its own test set."""
        engine = self._prepare()
        total = torch.zeros(len(self.replicas), 2 + len(self._measures), device=self.key.device)
        starts = engine.starts
        if self.team.divides_batches:
            starts = starts[self.team.rank :: self.team.size]

        def one(number: int) -> None:
            for start in starts:
                total[engine.blocks[number].rows] += engine.step.evaluate(engine.blocks[number], start)[0].T

        eager = not engine.step.evaluate.is_compiled
        engine.runner.run(one, len(engine.blocks), in_turn=not self._has_evaluated, is_eager=eager)
        self._has_evaluated = True
        self.team.exchange(total)
        self.team.add_up(total)
        loss, accuracy, *measures = (total / self.data.test_size).T
        return self._named("val", loss, accuracy, dict(zip(self._measures, measures, strict=True)))

    def gradients(self, step: int, count: int) -> Float[Tensor, "batch replica number"]:
        """Gradients at the present parameters of the strategy's batches for ``count`` steps from ``step`` on.

        Numbers lie as :meth:`~svl.training.packing.Packing.places` says; those of frozen parameters are 0. Batches
        repeat where a set is smaller than they are together. Nothing is trained.
        """
        engine = self._prepare()
        width = sum(p.shape[1] for p in self._packed.values())
        rows = torch.empty(count, len(self.replicas), width, device=self.key.device)
        first = torch.tensor(step, device=self.key.device)

        def one(number: int) -> None:
            for ahead in torch.arange(count, device=self.key.device):
                rows[ahead, engine.blocks[number].rows] = engine.step.gradient(engine.blocks[number], first, ahead)[0]

        eager = not engine.step.gradient.is_compiled
        engine.runner.run(one, len(engine.blocks), in_turn=not self._has_gradients, is_eager=eager)
        self._has_gradients = True
        self.team.exchange(list(rows))
        return rows

    def references(self) -> dict[str, Float[Tensor, "replica"]]:
        """Test losses of the task's reference predictors, as ``reference/<name>``: of some test examples, once.

        NaN where a replica has no such predictor.
        """
        if self._references is None:
            self._prepare()
            rows = [self._references_of(slice(replica, replica + 1)) for replica in range(len(self.replicas))]
            names = dict.fromkeys(name for row in rows for name in row)
            self._references = {
                f"reference/{name}": torch.tensor([row.get(name, math.nan) for row in rows]) for name in names
            }
        return self._references

    def _references_of(self, row: slice) -> dict[str, float]:
        numbers, key = view(self.numbers, row), self.key[row]
        inputs, targets = self.data.test_batch(numbers, key, 0, min(self.data.test_size, _REFERENCE_EXAMPLES))
        pools = self.data.pools.pools(numbers)
        found = self.data.bound_task(numbers).references(key, inputs, targets, pools)
        return {name: value.item() for name, value in found.items()}

    def train_metrics(self) -> dict[str, Float[Tensor, "replica"]]:
        """Mean loss and accuracy of the batches since the last call, each before the step that used it; NaN if none."""
        steps = self.record["steps"]
        metrics = self._named("train", self.record["loss"] / steps, self.record["correct"] / steps)
        for name in ("loss", "correct", "steps"):
            self.record[name].zero_()
        return metrics

    @property
    def metrics(self) -> list[str]:
        """Names of what is measured of every fit."""
        own = ["accuracy"] if self.data.task.has_accuracy else []
        own += ["loss", "perplexity"] if self.data.task.has_perplexity else ["loss"]
        return [f"{split}/{name}" for name in own for split in ("val", "train")] + [f"val/{m}" for m in self._measures]

    def _named(
        self, split: str, loss: Tensor, accuracy: Tensor, measures: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        # Parameters can stop being finite a step before a train loss says so, and every answer would count as wrong.
        alive = (self.record["diverged_at"] < 0) & ~loss.isnan()
        metrics = {f"{split}/loss": loss} | {f"{split}/{name}": value for name, value in (measures or {}).items()}
        if self.data.task.has_accuracy:
            metrics[f"{split}/accuracy"] = accuracy
        if self.data.task.has_perplexity:
            metrics[f"{split}/perplexity"] = loss.exp()
        return {name: torch.where(alive, value, math.nan).cpu() for name, value in metrics.items()}


def _move(nest: dict[str, Any], device: torch.device) -> None:
    for name, value in nest.items():
        if isinstance(value, dict):
            _move(value, device)
        else:
            nest[name] = value.to(device)
