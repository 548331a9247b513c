"""The LightningModule over a replica stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svl.compat.jsonargparse import made_by
from svl.compat.lightning import count_steps
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.interventions.on_gradients import GradientIntervention
from svl.losses import Loss
from svl.losses import names as loss_names
from svl.models.mlp import MLP
from svl.optim.initialisation import Initialisation
from svl.optim.parameterisation import Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.schedule import Schedule
from svl.optim.sgd import SGD
from svl.replicas import Replicas, parameters
from svl.training.groups import GROUP_NUMBERS, ParameterGroup
from svl.training.spec import Compile, ExecutionSettings, Precision, TrainingSettings
from svl.training.stack import ReplicaStack
from svl.training.team import Team

# Work of one Lightning batch, about ten seconds on two cores: signals are handled between batches.
_WORK_PER_BATCH = 3e10


class StepClock(torch.optim.Optimizer):
    """The optimizer that Lightning sees: it runs a closure that advances the stack, which has its own update rule."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return None if closure is None else closure()


class ReplicaModule(pl.LightningModule):
    """Trains R replicas of one network; one Lightning batch stands for several optimisation steps.

    Args:
        network: class of the network, built for the task's input shape, output dimension and vocabulary, if it has one.
        loss: logistic, hinge, squared, correlation, cross_entropy, or a class.
        optimizer: the update rule.
        groups: parameter groups by name.
        init: ``pytorch`` or ``gaussian``.
        parameterisation: factors on initial values and rates: Alpha or MuP.
        schedules: learning-rate schedules of ``torch.optim.lr_scheduler``, by name; all rates are multiplied by their
            product.
        interventions: changes of the gradients, by name, one after the other; see :mod:`svl.interventions`.
        replicas: arms and seeds.
        compile: ``auto`` compiles fits that are long enough to gain from it; ``never`` runs in eager mode.
        fused: in a compiled fit, use the C++ and Triton kernels where they apply, and outer sums for gradients over a
            population that is a product.
        block_size: replicas trained together on one core; chosen to fit its cache if left out.
        threads: cores to use; all if left out.
        precision: ``32-true``, or ``bf16-mixed`` on a GPU: matrix products in bfloat16, parameters in float32.
    """

    stack: ReplicaStack  # from prepare()

    def __init__(
        self,
        network: Callable[[tuple[int, ...], int], nn.Module] = MLP,
        loss: Loss | str = "logistic",
        optimizer: UpdateRule | None = None,
        groups: dict[str, ParameterGroup] | None = None,
        init: Initialisation = "pytorch",
        parameterisation: Parameterisation | None = None,
        schedules: dict[str, Schedule] | None = None,
        interventions: dict[str, GradientIntervention] | None = None,
        replicas: Replicas | None = None,
        compile: Compile = "auto",
        fused: bool = True,
        block_size: int | None = None,
        threads: int | None = None,
        precision: Precision = "32-true",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.build, self.loss, self.optimizer = network, loss_names.make(loss), optimizer or SGD()
        self.groups, self.init, self.replicas = groups or {}, init, replicas or Replicas()
        self.parameterisation, self.interventions = parameterisation, interventions or {}
        self.schedules = schedules or {}
        for name, value in (("block_size", block_size), ("threads", threads)):
            if isinstance(value, int) and value < 1:
                raise SettingError(name, value, "at least 1")
        self.execution = ExecutionSettings(compile, fused, block_size, threads, precision)

    def variable_settings(self, data: ReuseDataModule) -> set[str]:
        """Every setting that can differ by replica in this fit."""
        names = data.variable_settings | {f"data.task.{name}" for name in data.task.per_replica}
        names |= {f"model.optimizer.{name}" for name in self.optimizer.per_replica}
        names |= {f"model.parameterisation.{name}" for name in getattr(self.parameterisation, "per_replica", ())}
        for name, intervention in self.interventions.items():
            names |= {f"model.interventions.{name}.{number}" for number in intervention.per_replica}
        return names | {f"model.groups.{group}.{name}" for group in self.groups for name in GROUP_NUMBERS}

    def structural_settings(self, data: ReuseDataModule) -> set[str]:
        """Every setting of the fit's parts, by their constructors; those that cannot vary change shapes or code."""
        parts: dict[str, Any] = {"data.": type(data), "data.task.": type(data.task)}
        parts |= {"model.": type(self), "model.loss.": type(self.loss), "model.optimizer.": type(self.optimizer)}
        if self.parameterisation:
            parts["model.parameterisation."] = type(self.parameterisation)
        parts["model.network."] = made_by(self.build)
        return {prefix + name for prefix, part in parts.items() for name in parameters(part)}

    def prepare(self, data: ReuseDataModule, total_steps: int, measure_every: int) -> None:
        """Build the stack; settings that do not fit together are refused here, before any file is written.

        Args:
            total_steps: optimisation steps of the whole fit.
            measure_every: steps between two measurements; a whole number of Lightning batches lies between them.
        """
        data.schedule(total_steps, measure_every)
        self.replicas.check_keys(self.variable_settings(data), self.structural_settings(data))
        training = TrainingSettings(
            self.build,
            self.loss,
            self.optimizer,
            self.replicas,
            self.groups,
            self.init,
            self.parameterisation,
            self.schedules,
            self.interventions,
        )
        evaluations = -(-total_steps // measure_every) + 1
        self.stack = ReplicaStack(data, training, replace(self.execution, evaluations=evaluations))
        per_replica = sum(p.numel() for p in self.stack.network.parameters()) / len(self.replicas)
        step = (
            data.all_samples(self.stack.settings, self.stack.state.data, total_steps - 1, 1).sum().item() * per_replica
        )
        chunks = (n for n in range(measure_every, 0, -1) if measure_every % n == 0)
        data.schedule(total_steps, next((n for n in chunks if n * step <= _WORK_PER_BATCH), 1))

    def configure_model(self) -> None:
        if not hasattr(self, "stack"):
            trainer: Any = self.trainer
            self.prepare(trainer.datamodule, trainer.max_steps, trainer.log_every_n_steps)

    def setup(self, stage: str) -> None:
        trainer: Any = self.trainer
        device = trainer.strategy.root_device.type
        if self.execution.precision == "bf16-mixed" and device == "cpu":
            raise SettingError("model.precision", "bf16-mixed", "'32-true' on a CPU; bf16-mixed needs a GPU")
        team = Team(trainer.global_rank, trainer.world_size, trainer.world_size > len(self.replicas))
        if stage == "fit" and team.size > 1:
            self.stack.join(team)
            if team.divides_batches:
                # All processes must make the same calls, even if they decide differently what is worth compiling.
                trainer.datamodule.schedule(trainer.max_steps, 1)

    def configure_optimizers(self) -> StepClock:
        return StepClock(self.parameters())

    def training_step(self, batch: Int[Tensor, "2"], batch_idx: int) -> None:
        start, count = batch.tolist()
        clock: Any = self.optimizers()
        clock.step(closure=lambda: self.stack.train_steps(start, count))
        # Lightning counted one step of the clock; the trainer's global step counts optimisation steps.
        count_steps(self.trainer, count - 1)

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Float[Tensor, "replica"]]:
        metrics = self.measured = self.stack.evaluate()
        self.log_dict({name: value.nanmean() for name, value in metrics.items()}, batch_size=1)
        return metrics

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Float[Tensor, "replica"]]:
        return self.validation_step(batch, batch_idx)
