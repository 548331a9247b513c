"""The overhead of Lightning: ``svl fit`` compared with the steps of the stack alone."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl

from svl.bench import peers
from svl.bench.section import Section, spread
from svl.cli import main
from svl.training.replica_module import ReplicaModule

REPLICAS, STEPS, EVERY = 256, 1000, 50


class Clock(pl.Callback):
    """Times a fit, its steps and its evaluations, from the end of the first batch, which may include compilation.

    At the end it trains the same stack for as many steps in one call, without Lightning.
    """

    last: Clock

    def __init__(self) -> None:
        self.fit, self.alone = 0.0, 0.0
        self.inside = {"train_steps": 0.0, "test_sums": 0.0}

    @property
    def share(self) -> float:
        """The fraction of the fit's time that is neither steps nor evaluations."""
        return 1 - sum(self.inside.values()) / self.fit

    def on_train_batch_end(self, trainer: Any, module: ReplicaModule, *_: Any) -> None:  # type: ignore[override]
        if not self.fit:
            for name in self.inside:
                setattr(module.stack, name, partial(self._timed, name, getattr(module.stack, name)))
            self.first, self.fit = trainer.global_step, -time.perf_counter()

    def on_train_end(self, trainer: Any, module: ReplicaModule) -> None:  # type: ignore[override]
        began = time.perf_counter()
        self.fit += began
        type(module.stack).train_steps(module.stack, trainer.global_step, trainer.global_step - self.first)
        self.alone = time.perf_counter() - began
        Clock.last = self

    def _timed(self, name: str, function: Callable[..., Any], *arguments: int) -> Any:
        began = time.perf_counter()
        result = function(*arguments)
        self.inside[name] += time.perf_counter() - began
        return result


def measure(rounds: int) -> list[Section]:
    """The section of Lightning's share, with one fit a round."""
    clocks = [clock() for _ in range(rounds)]
    columns = {
        "the fit": [c.fit for c in clocks],
        "its steps": [c.inside["train_steps"] for c in clocks],
        "its evaluations on test examples": [c.inside["test_sums"] for c in clocks],
        "as many steps in one call, without Lightning": [c.alone for c in clocks],
    }
    rows = [
        [name, spread(seconds), spread([100 * s / c.fit for s, c in zip(seconds, clocks, strict=True)])]
        for name, seconds in columns.items()
    ]
    rest = [c.share for c in clocks]
    rows.append(
        [
            "the rest of the fit: Lightning, the history, checkpoints",
            spread([s * c.fit for s, c in zip(rest, clocks, strict=True)]),
            spread([100 * s for s in rest], "{:.2g}"),
        ]
    )
    text = f"""`svl fit` of the network above with {REPLICAS} replicas, {STEPS} steps and a measurement at every
{EVERY}th, from the end of the first batch on."""
    return [Section("Lightning's share", text, ("", "seconds", "% of the fit"), rows)]


def clock(replicas: int = REPLICAS, steps: int = STEPS, compile: str = "always") -> Clock:
    """Times one fit."""
    words = [
        *("fit", "--data", "Online", "--data.task", "Parity", "--data.task.dim", str(peers.DIM)),
        *("--data.task.degree", str(peers.DEGREE), "--data.batch_size", str(peers.BATCH)),
        *("--model.network", "MLP", "--model.network.width", str(peers.WIDTH), "--model.compile", compile),
        *("--model.optimizer.lr", str(peers.LR), "--replicas.seeds", str(replicas)),
        *("--trainer.max_steps", str(steps), "--trainer.log_every_n_steps", str(EVERY)),
        *("--trainer.callbacks", "[svl.bench.share.Clock]", "--trainer.logger", "false"),
    ]
    quiet = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        if main([*words, "--runs", folder]):
            raise RuntimeError(quiet.getvalue())
    return Clock.last
