"""``svl fit ... --explain``: how the fit would be computed, and what it would take; nothing is trained or written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from rich.table import Table

from svl import machine
from svl.cli.session import Session
from svl.cli.trainer import OneProcess
from svl.console import console, plain
from svl.training.estimate import Estimate, estimate
from svl.training.plan import Plan
from svl.training.routes.step_by_step import StepByStep

FLAG = "--explain"


class Explainer(Session):
    """Builds everything that a fit needs except its run directory, and prints the plan instead of training."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Check the whole experiment and make a trainer that only knows the device."""
        self.check()
        accelerator = self.settings.trainer.accelerator
        options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "plugins": [OneProcess()]}
        return pl.Trainer(accelerator=accelerator, devices=1, **options)

    def run_subcommand(self, subcommand: str) -> None:
        """Print the plan and the estimate."""
        stack = self.model.stack.to(self.trainer.strategy.root_device)
        replicas, steps = len(stack.replicas), stack.data.total_steps
        table = Table(box=None, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        table.add_row("fit", f"{replicas:,} replicas ({len(stack.replicas.arms)} arms), {steps:,} steps")
        for row in [*_plan_rows(stack.engine.plan), *_rows(estimate(stack))]:
            table.add_row(*plain(row))
        console().print(table)


class Estimator(Explainer):
    """Builds everything that a fit needs except its run directory, and estimates what it takes.

    Attributes:
        estimate: the memory and the seconds.
    """

    estimate: Estimate

    def run_subcommand(self, subcommand: str) -> None:
        """Estimate; print nothing."""
        self.estimate = estimate(self.model.stack.to(self.trainer.strategy.root_device))


def _plan_rows(plan: Plan) -> list[tuple[str, str]]:
    """What the plan says, as pairs of a heading and a text."""
    sizes = sorted({block.replicas for block in plan.blocks})
    of = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    blocks = f"{len(plan.blocks)} of {of} replicas, {plan.workers} side by side"
    rows = [
        ("device", str(plan.device)),
        ("machine", f"{machine.processor()}; {machine.compiler() or 'no C++ compiler'}"),
        ("steps", plan.step_route.name),
    ]
    if plan.step_route is StepByStep:
        rows[-1] = ("steps", f"{plan.step_route.name}, {'compiled' if plan.is_compiled else 'not compiled'}")
        rows.append(("gradients", plan.batch_route.name))
    if plan.population_route:
        rows.append(("on the population", plan.population_route.name))
    rows += [(f"not the {name}", reason) for name, reason in plan.reasons.items()]
    rows.append(("blocks", blocks))
    if plan.has_micro_batches:
        rows.append(("micro-batches", f"of {plan.micro_batch_size} examples"))
    return rows


def _rows(result: Estimate) -> list[tuple[str, str]]:
    """The estimate, as pairs of a heading and a text."""
    total = result.training + result.measuring
    parts = f"training {duration(result.training)}, measuring {duration(result.measuring)}"
    memory = f"{_size(result.memory)}: state {_size(result.state)}, batches {_size(result.working)}"
    return [
        ("memory", f"{memory}, test examples {_size(result.tests)}"),
        ("expected", f"{duration(total)} after start-up and compilation: {parts}; from a few steps on this machine"),
    ]


def duration(seconds: float) -> str:
    """A number of seconds as a text: ``2.5 s``, ``1:23:45``."""
    return f"{seconds:.2g} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _size(number: int) -> str:
    return f"{number / 2**20:.3g} MB" if number < 2**30 else f"{number / 2**30:.3g} GB"
