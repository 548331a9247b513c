"""What a stack trains and how it is asked to compute it: the settings, and everything that no step changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svl.data.draw import Settings
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError, nearest, within
from svl.interventions.on_gradients import (
    BatchGradientIntervention,
    GradientIntervention,
    SampleGradientIntervention,
)
from svl.interventions.on_model import ModelIntervention
from svl.interventions.on_weights import WeightIntervention
from svl.losses import Loss
from svl.losses import names as loss_names
from svl.models.mlp import MLP
from svl.optim.checking import check_optimizer
from svl.optim.from_run import InitialWeights
from svl.optim.parameterisation import Factors, Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.schedule import Schedule, rates_of
from svl.optim.sgd import SGD
from svl.replicas import Replicas
from svl.tasks.purity import check_pure
from svl.training import network as plain_network
from svl.training.contents import KEY, Contents
from svl.training.groups import ParameterGroup, StackHyper, stack_hyper
from svl.training.network import Build
from svl.training.objective import Objective
from svl.training.packing import Packing
from svl.training.team import Team

_EVALUATION_NUMBERS = 2**20
_LEAST_TESTS_AT_ONCE = 32

Compile = Literal["auto", "always", "never"]
Precision = Literal["32-true", "tf32", "bf16-mixed"]
RouteWord = Literal["loop", "kernel", "autograd", "warp", "triton"]


@dataclass(frozen=True)
class TrainingSettings:
    """What is trained: the settings that decide the numbers of a fit, apart from its data.

    Attributes:
        network: makes one plain network from the task's input shape and output dimension; see :mod:`.network`.
        loss: the loss, or the short name of one of svl.losses.
        optimizer: the update rule.
        replicas: arms and seeds.
        groups: parameter groups by name.
        init: initial weights.
        parameterisation: factors on initial values and rates.
        schedules: learning-rate schedules, by name; multiplied.
        interventions: on the gradients or the weights, by name.
    """

    network: Build = MLP
    loss: Loss | str = "logistic"
    optimizer: UpdateRule = field(default_factory=SGD)
    replicas: Replicas = field(default_factory=Replicas)
    groups: Mapping[str, ParameterGroup] = field(default_factory=dict)
    init: InitialWeights = "pytorch"
    parameterisation: Parameterisation | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    interventions: Mapping[str, ModelIntervention] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutionSettings:
    """How a fit is computed: settings that change speed and memory, and numbers by rounding alone.

    Attributes:
        compile: ``auto`` compiles what is called often enough to gain from it.
        fused: in a compiled fit, use routes and kernels that are written by hand.
        block_size: replicas that are trained together on one core; chosen to fit its cache if ``None``.
        threads: cores to use; all if ``None``.
        precision: ``tf32`` and ``bf16-mixed`` for matrix products with 11 and 8 digits; the first is PyTorch's own
            switch, which :class:`~svl.training.ReplicaModule` sets.
        evaluations: how many the fit will have, where that is known.
        route: word of the route to take; the fastest on this machine if ``None``.
    """

    compile: Compile = "auto"
    fused: bool = True
    block_size: int | None = None
    threads: int | None = None
    precision: Precision = "32-true"
    evaluations: int | None = None
    route: RouteWord | None = None


@dataclass(frozen=True)
class StackSpec:
    """Everything about a stack that no step changes; what routes and plans are made from.

    Attributes:
        data: the reuse strategy, whose run length is fixed.
        settings: the strategy's, by name ``[replica, ...]``, on the CPU.
        network: one plain network, whose parameters are swapped for each replica's.
        packing: how its parameters lie in matrices.
        hyper: rates, scales and freezing of each parameter.
        objective: the loss and what counts as correct.
        rule: the optimizer.
        interventions: on the gradients or the weights, by name.
        rates: the schedules' factor on the rates at each step; ``None`` without schedules.
        replicas: number of replicas.
        example_size: numbers that one example has at the network's input and output.
        activations: numbers that the network's modules return for one example.
        measures: names of the task's own measures of a test example.
        contents: what the network holds and does.
        execution: how to compute.
        team: the processes that share the work.
    """

    data: ReuseDataModule
    settings: Settings
    network: nn.Module
    packing: Packing
    hyper: StackHyper
    objective: Objective
    rule: UpdateRule
    interventions: Mapping[str, ModelIntervention]
    rates: Float[Tensor, "step"] | None
    replicas: int
    example_size: int
    activations: int
    measures: tuple[str, ...]
    contents: Contents = field(default_factory=Contents)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    team: Team = field(default_factory=Team)

    @classmethod
    def of(
        cls,
        data: ReuseDataModule,
        training: TrainingSettings,
        network: nn.Module,
        execution: ExecutionSettings,
        differing: tuple[str, ...] = (),
    ) -> StackSpec:
        """Check that the parts fit together and work out what does not change.

        Args:
            network: one plain network, made by ``training.network``.
            differing: names of its buffers that differ by seed.

        Raises:
            SettingError: for settings that do not fit together.
        """
        replicas, groups = training.replicas, dict(training.groups)
        with within("model"):
            loss = loss_names.make(training.loss)
        check_pure(data.task)
        checked = plain_network.check(training.network, network, data.task, loss, differing)
        example_size, measures, contents = checked
        with within("model.loss"):
            loss = loss.for_task(data.task)
        for name in data.task.per_replica:
            plain_network.check_losses(data.task, name, replicas.vary.get(f"data.task.{name}", ()), loss)
        shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
        check_optimizer(training.optimizer, replicas, shapes)
        factors = _factors(training, network, data, contents) if training.parameterisation else {}
        hyper = stack_hyper(list(shapes), training.optimizer, groups, replicas, factors, contents.find)
        for name in contents.frozen:
            hyper.frozen[name] = torch.ones(len(replicas), dtype=torch.bool)
        _check_streams(data, groups, hyper)
        spec = cls(
            data=data,
            settings=data.settings_of(replicas),
            network=network,
            packing=Packing(shapes, hyper, apart=not training.optimizer.elementwise),
            hyper=hyper,
            objective=Objective(loss, data.task),
            rule=training.optimizer,
            interventions=dict(training.interventions),
            rates=rates_of(training.schedules, training.optimizer, data.total_steps),
            replicas=len(replicas),
            example_size=example_size,
            contents=contents,
            activations=plain_network.activations(network, data.task, contents),
            measures=tuple(measures),
            execution=execution,
        )
        spec._check_interventions()
        spec._check_whole_batches()
        return spec

    @property
    def numbers(self) -> set[str]:
        """Names of the optimizer's hyperparameters that an update computes with."""
        return set(next(iter(self.hyper.rule.values()), {}))

    @property
    def batch_interventions(self) -> dict[str, BatchGradientIntervention]:
        """The interventions that act on a batch's gradient."""
        every = self.interventions.items()
        return {name: part for name, part in every if isinstance(part, BatchGradientIntervention)}

    @property
    def weight_interventions(self) -> dict[str, WeightIntervention]:
        """The interventions that act on the weights after each step."""
        every = self.interventions.items()
        return {name: part for name, part in every if isinstance(part, WeightIntervention)}

    @property
    def sampler(self) -> SampleGradientIntervention | None:
        """The intervention that needs each sample's own gradient, if there is one."""
        every = self.interventions.values()
        return next((part for part in every if isinstance(part, SampleGradientIntervention)), None)

    @property
    def has_signs(self) -> bool:
        """Whether every coordinate of every training input is -1 or 1."""
        turns = any(part.changes_inputs for part in self.data.interventions.values())
        return self.data.task.input_law == "signs" and not turns and not self.data.changes_examples

    @property
    def evaluation_rows(self) -> int:
        """Test examples that are measured at once; a divisor of their number if outputs depend on the whole batch."""
        # A power of two, so that few sizes of the test set make a ragged end.
        most = 1 << max(0, (_EVALUATION_NUMBERS // self.example_size).bit_length() - 1)
        most = min(1024, most, self.data.test_size)
        if not self.contents.mixes_tests:
            return most
        return next(rows for rows in range(most, 0, -1) if self.data.test_size % rows == 0)

    def shared_by(self, team: Team) -> StackSpec:
        """The same stack, whose work is shared by a team of processes."""
        return replace(self, team=team)

    def _check_whole_batches(self) -> None:
        """Raise :class:`SettingError` if a network needs each step's whole batch at once and does not get it."""
        reason, data = self.contents.needs_whole_batches, self.data
        name = type(self.network).__name__
        if reason and ("batch" in self.settings or data.has_parts):
            kind = "data.batch_ratio" if "batch" in self.settings else type(data).__name__
            allowed = f"networks without that, where steps have weighted examples or several parts ({kind})"
            raise SettingError(KEY, f"{name}, which {reason}", allowed)
        if reason and self.sampler:
            allowed = f"networks without that, where {type(self.sampler).__name__} takes examples one by one"
            raise SettingError(KEY, f"{name}, which {reason}", allowed)
        if self.contents.changing and data.streams:
            allowed = "networks without that, where data.streams call the network several times a step"
            raise SettingError(KEY, f"{name}, which changes its buffer {self.contents.changing[0]}", allowed)
        if self.contents.mixes_tests and self.evaluation_rows < min(_LEAST_TESTS_AT_ONCE, data.test_size):
            allowed = f"a size with a divisor from {_LEAST_TESTS_AT_ONCE} to 1024: {name} normalises over test examples"
            raise SettingError("data.test_size", data.test_size, allowed)

    def _check_interventions(self) -> None:
        """Raise :class:`SettingError` unless the samples' own gradients can be had where they are needed."""
        for place, (name, intervention) in enumerate(self.interventions.items()):
            if not isinstance(intervention, SampleGradientIntervention):
                continue
            key, kind = f"model.interventions.{name}", type(intervention).__name__
            if any(isinstance(part, GradientIntervention) for part in list(self.interventions.values())[:place]):
                raise SettingError(key, kind, "the first place: it needs the gradients of the samples")
            is_uneven = "batch" in self.settings or type(self.data).weights is not ReuseDataModule.weights
            if self.data.streams or is_uneven:
                raise SettingError(key, kind, "strategies without streams, whose batches are all of one size")


def _factors(
    training: TrainingSettings, network: nn.Module, data: ReuseDataModule, contents: Contents
) -> dict[str, Factors]:
    """The parameterisation's factors on each parameter."""
    parameterisation = training.parameterisation
    assert parameterisation is not None
    for alias, name in contents.aliases.items():
        kind = type(parameterisation).__name__
        raise SettingError("model.parameterisation", kind, f"null: {alias} is tied to {name}, which has other factors")

    def make(**settings: Any) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return plain_network.make(partial(training.network, **settings), data.task)

    columns = training.replicas.columns("model.parameterisation.", parameterisation)
    by_name = {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}
    with within("model.parameterisation"):
        return parameterisation.factors(network, make, training.optimizer, by_name)


def _check_streams(data: ReuseDataModule, groups: Mapping[str, ParameterGroup], hyper: StackHyper) -> None:
    """Raise :class:`SettingError` unless every group's stream exists and every stream has a group."""
    for name, group in groups.items():
        if group.stream is not None and group.stream not in data.streams:
            allowed = ", ".join(data.streams) or "null: there are no data.streams"
            close = nearest(group.stream, data.streams)
            raise SettingError(f"model.groups.{name}.stream", group.stream, allowed + close)
    for name in data.streams:
        if name not in hyper.stream.values():
            raise SettingError(f"data.streams.{name}", name, "streams that a model.groups.<name>.stream names")
