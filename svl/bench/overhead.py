"""The cost of each callback, compared with the steps between two measurements."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl

from svl.bench.peers import narrow_mlp
from svl.bench.section import Section, spread
from svl.callbacks import (
    Feature,
    GradientSimilarity,
    Measurement,
    Memorisation,
    NormRatio,
    Norms,
    PhaseLog,
    QueryKey,
    Rates,
    SamplingBias,
    Throughput,
)
from svl.data import Subset
from svl.models import Transformer
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.replica_module import ReplicaModule

REPLICAS, STEPS, TOTAL_STEPS, SIZE = 64, 25, 3000, 8192
TRANSFORMER_REPLICAS, TRANSFORMER_STEPS = 8, 50
OF_MLP = (NormRatio, Norms, Rates, GradientSimilarity, SamplingBias, Feature, Memorisation, PhaseLog, Throughput)
OF_TRANSFORMER = (QueryKey,)


class Overhead:
    """The time of a callback at each measurement, and its share of the time of the steps between two measurements.

    Args:
        callback: the callback, at its default settings.
        module: the module that it measures.
    """

    def __init__(self, callback: pl.Callback, module: ReplicaModule) -> None:
        self.name, self.module, self.interval = type(callback).__name__, module, 1
        if isinstance(callback, GradientSimilarity):
            # It skips measurements by default, but is timed at every one.
            self.interval, callback = callback.interval(module), GradientSimilarity(callback.batches, every=1)
        self.callback = callback
        self.first = _seconds(self._call)
        self.seconds: list[float] = []
        self.shares: list[float] = []

    def measure(self, between: float) -> None:
        """One more measurement, after steps that took ``between`` seconds."""
        self.seconds.append(_seconds(self._call))
        self.shares.append(self.seconds[-1] / (self.interval * between))

    def _call(self) -> None:
        if isinstance(self.callback, Measurement):
            self.callback.measure(self.module)
        else:
            trainer: Any = self.module.trainer
            self.callback.on_train_batch_start(trainer, self.module, None, 0)
            self.callback.on_train_batch_end(trainer, self.module, None, None, 0)


def measure(rounds: int) -> list[Section]:
    """The cost of each callback."""
    return [section(overheads(rounds))]


def section(measured: list[Overhead]) -> Section:
    """The table of callbacks."""
    text = f"""Time of a callback at its default settings, at the first measurement and at later ones, and the
share of the latter in the time of the steps between two measurements (`trainer.log_every_n_steps`: {STEPS}, of the
Transformer {TRANSFORMER_STEPS}); of `GradientSimilarity`, in that of the steps between two that it takes. The network
above with {REPLICAS} replicas, each with {SIZE} examples of its own; for `QueryKey` the Transformer of
`configs/parity/transformer.yaml` with {TRANSFORMER_REPLICAS} replicas."""
    rows = [
        [
            f"`{overhead.name}`" + (f", at every {overhead.interval}th measurement" if overhead.interval > 1 else ""),
            f"{1e3 * overhead.first:.3g}",
            spread([1e3 * seconds for seconds in overhead.seconds]),
            spread([100 * share for share in overhead.shares], "{:.2g}"),
        ]
        for overhead in measured
    ]
    return Section("Callbacks", text, ("callback", "first, ms", "later, ms", "% of the steps"), rows)


def overheads(rounds: int) -> list[Overhead]:
    """All callbacks, each measured once a round after the steps, so that other load affects all of them alike."""
    measured = []
    for module, kinds in ((quickstart(), OF_MLP), (transformer(), OF_TRANSFORMER)):
        _train(module)
        module.stack.evaluate()
        overheads = [Overhead(kind(), module) for kind in kinds]
        for _ in range(rounds):
            between = _seconds(partial(_train, module))
            for overhead in overheads:
                overhead.measure(between)
        measured += overheads
    return measured


def quickstart() -> ReplicaModule:
    """The quickstart's fit, with a single arm."""
    task = Parity(20, 6)
    return _prepared(narrow_mlp, SGD(1.0), Replicas(REPLICAS), Subset(task, SIZE, batch_size=128), STEPS)


def transformer() -> ReplicaModule:
    """The fit of ``configs/parity/transformer.yaml``, with a single arm."""

    def network(input_shape: tuple[int, ...], output_dim: int) -> Transformer:
        return Transformer(input_shape, output_dim, width=32, depth=2, heads=4)

    data = Subset(Parity(10, 3), 256, batch_size=32, test_size=1024)
    return _prepared(network, AdamW(1e-3, beta2=0.95), Replicas(TRANSFORMER_REPLICAS), data, TRANSFORMER_STEPS)


def _prepared(network: Callable[..., Any], rule: Any, replicas: Replicas, data: Subset, steps: int) -> ReplicaModule:
    module = ReplicaModule(network, "logistic", rule, replicas=replicas)
    module.prepare(data, TOTAL_STEPS, steps)
    clock: Any = SimpleNamespace(
        global_step=0, max_steps=TOTAL_STEPS, log_every_n_steps=steps, loggers=[], state=SimpleNamespace(fn="fit")
    )
    module.trainer = clock
    return module


def _train(module: ReplicaModule) -> None:
    clock: Any = module.trainer
    module.stack.train_steps(clock.global_step, clock.log_every_n_steps)
    clock.global_step += clock.log_every_n_steps


def _seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
