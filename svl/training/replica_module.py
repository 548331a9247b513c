"""The LightningModule over a replica stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchmetrics import Metric

from svl.compat.jsonargparse import made_by
from svl.compat.lightning import checkpoint_intervals, count_steps, validate_now
from svl.data.reuse import ReuseDataModule
from svl.data.steps import MeasureAt, MeasuredSteps
from svl.errors import SettingError, within
from svl.interventions.on_model import ModelIntervention
from svl.losses import Loss
from svl.losses import names as loss_names
from svl.models.mlp import MLP
from svl.optim.checking import check_class
from svl.optim.from_run import InitialWeights
from svl.optim.parameterisation import Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.schedule import Schedule
from svl.optim.sgd import SGD
from svl.replicas import Replicas, parameters
from svl.training.batch_steps import batch_steps
from svl.training.groups import GROUP_NUMBERS, ParameterGroup
from svl.training.measurements import arm_values, checked
from svl.training.spec import Compile, ExecutionSettings, Precision, RouteWord, TrainingSettings
from svl.training.stack import ReplicaStack
from svl.training.step_clock import StepClock, clock_of
from svl.training.team import Team
from svl.training.trainer_parts import check_callbacks, check_options, has_stopped, measuring_interval
from svl.training.validation import Validation


class ReplicaModule(pl.LightningModule):
    """Trains R replicas of one network; one Lightning batch stands for several optimisation steps.

    Args:
        network: class of the network, built for the task's input shape, output dimension and vocabulary, if it has one.
        loss: logistic, hinge, squared, correlation, cross_entropy, or a class.
        optimizer: the update rule.
        groups: parameter groups by name.
        init: ``pytorch``, ``gaussian``, or those of another run.
        parameterisation: factors on initial values and rates: Alpha or MuP.
        schedules: learning-rate schedules of ``torch.optim.lr_scheduler``, by name; all rates are multiplied by their
            product.
        interventions: changes of the gradients or the weights, by name, in order; see :mod:`svl.interventions`.
        replicas: arms and seeds.
        compile: ``auto`` compiles fits that are long enough to gain from it; ``never`` runs in eager mode.
        fused: in a compiled fit, use what is written by hand: C++ and Triton kernels, outer sums over a population.
        block_size: replicas trained together on one core; chosen to fit its cache if left out.
        threads: cores to use; all if left out.
        precision: ``32-true``; or on a GPU ``tf32``, which sets ``torch.set_float32_matmul_precision("high")`` during
            the fit, or ``bf16-mixed``: matrix products in bfloat16, parameters in float32.
        metrics: further metrics of the test set, by name: any of torchmetrics that returns one number. Each replica has
            its own, measured as ``val/<name>``; see :func:`svl.metrics.predictions.predictions` for what it is given.
        measure_at: steps that are measured in addition to the regular ones: a list, or ``logarithmic`` for 1, 2, 4, ...
        steps_per_batch: optimisation steps of one Lightning batch, at most; left out, as many as take about ten
            seconds. ``on_train_batch_end`` of a callback is called once a batch.
        route: ``loop``, ``kernel``, ``autograd``, ``warp`` or ``triton``; left out, the fastest that serves.

    Attributes:
        measured: the metrics of the measurement that has just been made, by name ``[replica]``, on the CPU.
        logs_means: whether the means of a measurement are sent to the trainer's loggers; :class:`svl.callbacks.History`
            sends each arm's with their intervals instead.
    """

    stack: ReplicaStack  # from prepare()
    measured_steps: MeasuredSteps
    validation: Validation

    def __init__(
        self,
        network: Callable[[tuple[int, ...], int], nn.Module] = MLP,
        loss: Loss | str = "logistic",
        optimizer: UpdateRule | None = None,
        groups: dict[str, ParameterGroup] | None = None,
        init: InitialWeights = "pytorch",
        parameterisation: Parameterisation | None = None,
        schedules: dict[str, Schedule] | None = None,
        interventions: dict[str, ModelIntervention] | None = None,
        replicas: Replicas | None = None,
        compile: Compile = "auto",
        fused: bool = True,
        block_size: int | None = None,
        threads: int | None = None,
        precision: Precision = "32-true",
        metrics: dict[str, Metric] | None = None,
        measure_at: MeasureAt = None,
        steps_per_batch: int | None = None,
        route: RouteWord | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        if optimizer is not None:
            check_class(optimizer, "optimizer")
        self.build, self.loss, self.optimizer = network, loss_names.make(loss), optimizer or SGD()
        self.groups, self.init, self.replicas = groups or {}, init, replicas or Replicas()
        self.parameterisation, self.interventions = parameterisation, interventions or {}
        self.schedules = schedules or {}
        for name, value in (("block_size", block_size), ("threads", threads), ("steps_per_batch", steps_per_batch)):
            if isinstance(value, int) and value < 1:
                raise SettingError(name, value, "at least 1")
        self.further_metrics, self.measure_at, self.steps_per_batch = metrics or {}, measure_at, steps_per_batch
        self.measured: dict[str, Float[Tensor, "replica"]] = {}
        self.logs_means = True
        self._measured_at, self._loaded_step = -1, 0
        self._matmul_precision = torch.get_float32_matmul_precision()
        self.execution = ExecutionSettings(compile, fused, block_size, threads, precision, route=route)

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

    def prepare(self, data: ReuseDataModule, total_steps: int, measure_every: int, stops: Collection[int] = ()) -> None:
        """Build the stack; settings that do not fit together are refused here, before any file is written.

        Args:
            total_steps: optimisation steps of the whole fit.
            measure_every: steps between two regular measurements; a whole number of Lightning batches lies between.
            stops: numbers of steps; a Lightning batch ends at every multiple of each, for callbacks that count steps.
        """
        with within("model"):
            self.measured_steps = MeasuredSteps(total_steps, measure_every, self.measure_at)
        data.schedule(total_steps, measure_every, self.measured_steps)
        self.replicas.check_keys(self.variable_settings(data), self.structural_settings(data))
        training = TrainingSettings(
            *(self.build, self.loss, self.optimizer, self.replicas, self.groups),
            *(self.init, self.parameterisation, self.schedules, self.interventions),
        )
        self.stack = ReplicaStack(data, training, replace(self.execution, evaluations=len(self.measured_steps)))
        with within("model"):
            self.validation = Validation(self.stack, self.further_metrics)
        self._batch_steps = partial(batch_steps, self.stack, measure_every, stops, self.steps_per_batch)
        data.schedule(total_steps, self._batch_steps(), self.measured_steps)

    @property
    def metric_names(self) -> list[str]:
        """Names of what is measured of every fit, apart from what callbacks measure."""
        return self.stack.metrics + [f"val/{name}" for name in self.further_metrics]

    @property
    def is_fitting(self) -> bool:
        """Whether the trainer is training, and not evaluating a checkpoint."""
        return self.trainer.state.fn == "fit"

    @property
    def is_measuring(self) -> bool:
        """Whether the present validation is a measurement.

        Lightning also validates when a fit is stopped between two measurements. Such a validation measures nothing, so
        that a fit that is resumed there has the same measurements as one that was never stopped.
        """
        return not self.is_fitting or self.trainer.global_step in self.measured_steps

    # Lightning's hooks ----------------------------------------------------------------------------------------------

    def configure_callbacks(self) -> list[Any]:
        """No callback of its own; refuse those, and options of the trainer, that cannot be right for a stack."""
        check_callbacks(self.trainer.callbacks)  # type: ignore[attr-defined]
        check_options(self.trainer)
        return []

    def configure_model(self) -> None:
        if not hasattr(self, "stack"):
            trainer: Any = self.trainer
            every = min(measuring_interval(trainer), trainer.max_steps)
            self.prepare(trainer.datamodule, trainer.max_steps, every, checkpoint_intervals(trainer.callbacks))

    def setup(self, stage: str) -> None:
        trainer: Any = self.trainer
        device = trainer.strategy.root_device.type
        precision = self.execution.precision
        if precision != "32-true" and device == "cpu":
            raise SettingError("model.precision", precision, f"'32-true' on a CPU; {precision} needs a GPU")
        self._matmul_precision = torch.get_float32_matmul_precision()
        if precision == "tf32":
            torch.set_float32_matmul_precision("high")
        team = Team(trainer.global_rank, trainer.world_size, trainer.world_size > len(self.replicas))
        if stage == "fit" and team.size > 1:
            self.stack.join(team)
            if team.divides_batches:
                # All processes must make the same calls, even if they decide differently what is worth compiling.
                trainer.datamodule.schedule(trainer.max_steps, 1, self.measured_steps)

    def teardown(self, stage: str) -> None:
        torch.set_float32_matmul_precision(self._matmul_precision)

    def configure_optimizers(self) -> StepClock:
        return clock_of(self.stack.spec, self.replicas)

    def on_fit_start(self) -> None:
        trainer: Any = self.trainer
        if not self.stack.spec.team.divides_batches:  # now that the device is known
            steps = self._batch_steps(trainer.strategy.root_device.type)
            trainer.datamodule.schedule(trainer.max_steps, steps, self.measured_steps)

    def on_train_start(self) -> None:
        self._clock.show(self.trainer.global_step)
        if self.awaits_measurement:
            validate_now(self.trainer)
        if has_stopped(self.trainer.callbacks):  # type: ignore[attr-defined]
            self.trainer.should_stop = True

    def training_step(self, batch: Int[Tensor, "2"], batch_idx: int) -> None:
        start, count = batch.tolist()
        self._clock.step(closure=lambda: self.stack.train_steps(start, count))
        self._clock.show(start + count)
        # Lightning counted one step of the clock; the trainer's global step counts optimisation steps.
        count_steps(self.trainer, count - 1)
        # Lightning counts batches between validations, but measurements come at steps.
        trainer: Any = self.trainer
        trainer.val_check_batch = 1 if start + count in self.measured_steps else math.inf

    @property
    def _clock(self) -> Any:
        return self.optimizers()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.stack.exchange()  # its tensors are those of the checkpoint
        # A callback can save at the end of a batch, before the validation of its last step.
        checkpoint |= {"measured_at": self._measured_at, "route": self.stack.route}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._loaded_step, self.stack.route = checkpoint["global_step"], checkpoint.get("route")
        self._measured_at = checkpoint.get("measured_at", self._loaded_step)

    @property
    def global_step(self) -> int:
        """Optimisation steps taken: the trainer's or, where a checkpoint is evaluated, the checkpoint's."""
        return self.trainer.global_step if self.is_fitting else self._loaded_step

    @property
    def awaits_measurement(self) -> bool:
        """Whether the fit is resumed at a step that is measured, from a checkpoint saved before its measurement."""
        step = self.trainer.global_step
        return step in self.measured_steps and self._measured_at < step

    def on_validation_epoch_start(self) -> None:
        self.measured = {}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.is_measuring:
            # A stack made in inference mode, as a plain trainer's validation is, could not be trained.
            with torch.inference_mode(False), torch.no_grad():
                self.stack.exchange()
                self.validation.update()

    def on_validation_epoch_end(self) -> None:
        """Complete the measurement, after callbacks have added theirs, and log its means."""
        if not self.is_measuring:
            return
        measured = self.stack.train_metrics() if self.is_fitting else {}
        measured |= self.validation.compute() | self.stack.references()
        self.measured = measured | self.measured
        self._measured_at = self.global_step
        self._log_means()

    def _log_means(self) -> None:
        means, by_arm = arm_values(self.measured, self.replicas)
        if self.logs_means and self.trainer.loggers:
            self.log_dict({**means, **by_arm, "step": float(self.trainer.global_step)}, batch_size=1)
            return
        # Without a logger Lightning still returns from validate() what it would have logged.
        self.log_dict(means, logger=None if self.logs_means else False, batch_size=1)
        # As Lightning's own monitors do: logging hundreds of numbers would take longer than measuring them.
        self.trainer.callback_metrics.update(by_arm)

    def add_measured(self, owner: str, announced: Collection[str], values: Mapping[str, Any]) -> None:
        """Add what a callback has measured.

        Args:
            owner: the callback's name, for messages.
            announced: the names that it said it would measure.
            values: one number for each replica, by name.

        Raises:
            SettingError: for names that were not announced or are taken, and for anything but one number a replica.
        """
        self.measured |= checked(owner, announced, values, {*self.metric_names, *self.measured}, len(self.replicas))

    # The test set is the validation set.
    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end
