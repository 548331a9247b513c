"""The replica stack: R independent trainings of one plain network, advanced together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import groupby
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.optim.initialisation import INITIALISATIONS, Initialisation, initial_network
from svl.optim.rule import UpdateRule, over
from svl.replicas import Replicas
from svl.tasks.task import Task
from svl.training.blocks import BlockRunner, can_compile, compiled, partition, view, warn_eager
from svl.training.groups import ParameterGroup, stack_hyper
from svl.training.losses import LOSSES, LossName

Build = Callable[[tuple[int, ...], int], nn.Module]
Compile = Literal["auto", "always", "never"]
_ROWS_PER_BLOCK = 8192
_CALLS_WORTH_COMPILING = 4000
_EVALUATION_ROWS = 1024


class ReplicaStack(nn.Module):
    """R replicas of one network with their optimizer states and records; all of a fit but Lightning.

    A replica equals the same network trained alone with the same key. A replica whose loss becomes non-finite is frozen as
    it was; it never touches the others.

    Args:
        data: the reuse strategy, whose run length is fixed (:meth:`~svl.data.reuse.ReuseDataModule.schedule`).
        build: makes one plain network from the task's input shape and output dimension.
        loss: name of the loss.
        rule: the optimizer.
        replicas: arms and seeds.
        groups: parameter groups by name.
        init: initial weights.
        compile: ``auto`` compiles fits that are long enough to gain from it.
        block_size: replicas that are trained together on one core; chosen to fit its cache if ``None``.
        threads: cores to use; all if ``None``.

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
        compile: Compile = "auto",
        block_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        self.data, self.loss, self.rule, self.replicas = data, loss, rule, replicas
        self.compile, self.threads, self.block_size = compile, threads, block_size
        if init not in INITIALISATIONS:
            raise SettingError("model.init", init, ", ".join(INITIALISATIONS))
        if loss not in LOSSES:
            raise SettingError("model.loss", loss, ", ".join(LOSSES))
        task = data.task
        one = {s: initial_network(lambda: build(task.input_shape, task.output_dim), s, init) for s in set(replicas.seed)}
        template = one[replicas.first_seed]
        names = [name for name, _ in template.named_parameters()]
        self.hyper = stack_hyper(names, rule, groups or {}, replicas)
        self.numbers = data.setting_numbers(replicas)
        self.key = replicas.key()
        # In a list, so that the template's own parameters are not registered as this module's.
        self._template = [copy.deepcopy(template)]
        self.network = copy.deepcopy(template)
        for name in names:
            seeds = torch.stack([one[s].get_parameter(name).detach() for s in replicas.seed])
            owner, _, last = name.rpartition(".")
            stacked = seeds * over(self.hyper.scale[name], seeds)
            setattr(self.network.get_submodule(owner), last, nn.Parameter(stacked, requires_grad=False))
        self.rule_state = {name: rule.state(self.network.get_parameter(name)) for name in names}
        count = len(replicas)
        self.record: dict[str, Tensor] = {
            "diverged_at": torch.full((count,), -1),
            "samples": torch.zeros(count, dtype=torch.int64),
            "loss": torch.zeros(count),
            "correct": torch.zeros(count),
            "steps": torch.zeros(count, dtype=torch.int64),
        }
        self.data_state = data.initial_state(self.numbers)
        self._blocks: list[dict[str, Any]] | None = None

    # State ----------------------------------------------------------------------------------------------------------

    def parameters_by_name(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """The stacked parameters under the plain network's own names."""
        return {name: parameter.data for name, parameter in self.network.named_parameters()}

    def get_extra_state(self) -> dict[str, Any]:
        return {"rule": self.rule_state, "record": self.record, "data": self.data_state}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for mine, saved in ((self.rule_state, state["rule"]), (self.record, state["record"]), (self.data_state, state["data"])):
            _copy_into(mine, saved)

    # Training -----------------------------------------------------------------------------------------------------------

    def train_steps(self, start: int, count: int) -> None:
        """Advance every replica by ``count`` steps, of which the first is step number ``start``."""
        blocks = self._prepare()
        steps = list(torch.arange(start, start + count, device=self.key.device))

        def advance(number: int) -> None:
            for step in steps:
                self._one_step(blocks[number], step)

        self._runner.run(advance, len(blocks))
        self.record["samples"] += self.data.samples(self.numbers, self.data_state, count)

    def _one_step(self, block: dict[str, Any], step: Int[Tensor, ""]) -> None:
        if block["micro_batches"] == 1:
            self._step(block["tensors"], step, self._zero)
            return
        total = {name: torch.zeros_like(p) for name, p in block["tensors"]["params"].items()}
        sums = torch.zeros(2, *block["tensors"]["key"].shape[:1], device=step.device)
        for micro in range(block["micro_batches"]):
            self._accumulate(block["tensors"], total, sums, step, torch.tensor(micro, device=step.device))
        self._apply_total(block["tensors"], total, sums, step)

    def _gradients(self, tensors: dict[str, Any], step: Tensor, micro: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Gradients, losses and accuracies of one micro-batch, per replica."""
        inputs, targets, weights = self.data.batch(tensors["numbers"], tensors["data"], tensors["key"], step, micro)
        per_replica = grad_and_value(self._mean_loss, has_aux=True)
        dims = (0, 0, 0, None if weights is None else 0)
        gradients, (loss, correct) = vmap(per_replica, in_dims=dims)(tensors["params"], inputs, targets, weights)
        return gradients, loss, correct

    def _mean_loss(
        self, params: dict[str, Tensor], inputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        outputs = functional_call(self._template[0], params, (inputs,))
        losses = LOSSES[self.loss](outputs, targets)
        correct = self.data.task.correct(outputs.detach(), targets)
        hits = torch.full_like(losses, math.nan) if correct is None else correct.to(losses.dtype)
        if weights is None:
            return losses.mean(), hits.mean()
        return (losses * weights).sum(), (hits * weights).sum()

    def _update(self, tensors: dict[str, Any], gradients: dict[str, Tensor], loss: Tensor, correct: Tensor, step: Tensor) -> None:
        """Apply one optimizer step in place; a replica whose loss is not finite stays as it is from now on."""
        record = tensors["record"]
        was_alive = record["diverged_at"] < 0
        alive = was_alive & torch.isfinite(loss)
        for name, parameter in tensors["params"].items():
            state = tensors["rule"][name]
            updated, new_state = self.rule.update(parameter, gradients[name], state, tensors["hyper"][name], step)
            moves = over(alive & ~tensors["frozen"][name], parameter) > 0
            parameter.copy_(torch.where(moves, updated, parameter))
            for part, value in new_state.items():
                state[part].copy_(torch.where(moves, value, state[part]))
        _copy_into(tensors["data"], self.data.advance(tensors["numbers"], tensors["data"], correct))
        record["diverged_at"].copy_(torch.where(was_alive & ~alive, step, record["diverged_at"]))
        record["loss"].add_(torch.where(alive, loss, 0.0))
        record["correct"].add_(torch.where(alive, correct, 0.0))
        record["steps"].add_(alive)

    def _prepare(self) -> list[dict[str, Any]]:
        """Blocks as views into the stack's tensors, and the step compiled for them; made at the first step."""
        if self._blocks is not None:
            return self._blocks
        device = next(self.network.parameters()).device
        self._to(device)
        data, count = self.data, len(self.replicas)
        micro = [data.micro_batches(view(self.numbers, slice(r, r + 1))) for r in range(count)]
        runs = [len(list(run)) for _, run in groupby(micro)]
        target = self.block_size or (max(1, _ROWS_PER_BLOCK // data.batch_size) if device.type == "cpu" else count)
        slices = partition(runs, target)
        everything = {
            "params": self.parameters_by_name(),
            "rule": self.rule_state,
            "record": {k: v for k, v in self.record.items() if k != "samples"},
            "data": self.data_state,
            "numbers": self.numbers,
            "key": self.key,
            "hyper": self.hyper.rule,
            "frozen": self.hyper.frozen,
        }
        self._blocks = [{"rows": s, "tensors": view(everything, s), "micro_batches": micro[s.start]} for s in slices]
        self._zero = torch.zeros((), dtype=torch.int64, device=device)
        self._compile_functions(sum(b["micro_batches"] for b in self._blocks) * data.total_steps)
        # functional_call swaps the template's parameters, so eager blocks cannot share it between threads.
        side_by_side = self.is_compiled and device.type == "cpu"
        self._runner = BlockRunner(len(slices) if side_by_side else 1, self.threads)
        return self._blocks

    def _compile_functions(self, calls: int) -> None:
        wanted = self.compile == "always" or (self.compile == "auto" and calls >= _CALLS_WORTH_COMPILING)
        if wanted and not can_compile():
            warn_eager()
            wanted = False
        self.is_compiled = wanted
        if wanted:
            # Compiled code is kept by code object with a limit on variants; what an earlier stack left is of no use here.
            torch._dynamo.reset()

        def step(tensors: dict[str, Any], step: Tensor, micro: Tensor) -> None:
            self._update(tensors, *self._gradients(tensors, step, micro), step)

        def accumulate(tensors: dict, total: dict, sums: Tensor, step: Tensor, micro: Tensor) -> None:
            gradients, loss, correct = self._gradients(tensors, step, micro)
            for name, gradient in gradients.items():
                total[name].add_(gradient)
            sums.add_(torch.stack((loss, correct)))

        def apply(tensors: dict, total: dict, sums: Tensor, step: Tensor) -> None:
            self._update(tensors, total, sums[0], sums[1], step)

        def evaluate(tensors: dict, start: Tensor) -> Tensor:
            inputs, targets = self.data.test_batch(tensors["key"], start, _EVALUATION_ROWS)
            valid = (start + torch.arange(_EVALUATION_ROWS, device=start.device)) < self.data.test_size
            weights = valid.to(torch.float32).expand(len(inputs), -1)
            return torch.stack(vmap(self._mean_loss)(tensors["params"], inputs, targets, weights))

        self._step, self._accumulate = compiled(step, wanted), compiled(accumulate, wanted)
        self._apply_total, self._evaluate = compiled(apply, wanted), compiled(evaluate, wanted)

    def _to(self, device: torch.device) -> None:
        for nest in (self.rule_state, self.record, self.data_state, self.numbers, self.hyper.rule, self.hyper.frozen):
            _move(nest, device)
        self.key = self.key.to(device)
        self._template[0].to(device)

    # Measuring --------------------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Float[Tensor, "replica"]]:
        """Loss and accuracy of every replica on its own test set."""
        blocks = self._prepare()
        total = torch.zeros(2, len(self.replicas), device=self.key.device)

        def one(number: int) -> None:
            block = blocks[number]
            for start in range(0, self.data.test_size, _EVALUATION_ROWS):
                total[:, block["rows"]] += self._evaluate(block["tensors"], torch.tensor(start, device=self.key.device))

        self._runner.run(one, len(blocks))
        return self._named("val", *(total / self.data.test_size))

    def train_metrics(self) -> dict[str, Float[Tensor, "replica"]]:
        """Mean loss and accuracy of the batches since the last call, each measured before the step that used it."""
        steps = self.record["steps"].clamp(min=1)
        metrics = self._named("train", self.record["loss"] / steps, self.record["correct"] / steps)
        for name in ("loss", "correct", "steps"):
            self.record[name].zero_()
        return metrics

    @property
    def has_accuracy(self) -> bool:
        """Whether the task says which outputs are correct."""
        return type(self.data.task).correct is not Task.correct

    def _named(self, split: str, loss: Tensor, accuracy: Tensor) -> dict[str, Tensor]:
        alive = self.record["diverged_at"] < 0
        metrics = {f"{split}/loss": loss, f"{split}/accuracy": accuracy}
        if not self.has_accuracy:
            del metrics[f"{split}/accuracy"]
        return {name: torch.where(alive, value, math.nan).cpu() for name, value in metrics.items()}


def _copy_into(target: dict[str, Any], source: dict[str, Any]) -> None:
    for name, value in source.items():
        if isinstance(value, dict):
            _copy_into(target[name], value)
        else:
            target[name].copy_(value)


def _move(nest: dict[str, Any], device: torch.device) -> None:
    for name, value in nest.items():
        if isinstance(value, dict):
            _move(value, device)
        else:
            nest[name] = value.to(device)
