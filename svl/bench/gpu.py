"""What no test without a GPU can say: whether its kernels agree with the eager step there, and how fast they are.

``python -m svl.bench.gpu`` prints a table for the GPU of this machine; it takes a few minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch

from svl.data import FullBatch, Online, Subset
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError
from svl.models import MLP, Transformer
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

STEPS = 100_000  # of the fit, which decide what is worth compiling
_SECONDS = 2.0


class Case(NamedTuple):
    """A fit that is timed.

    Attributes:
        name: in the table.
        data: the strategy.
        network: makes a plain network.
        route: ``model.route``; ``None`` for the first that serves.
        replicas: how many.
        rule: the optimizer.
    """

    name: str
    data: ReuseDataModule
    network: Any
    route: Any
    replicas: int
    rule: Any = SGD(0.1)


class Timed(NamedTuple):
    """What was measured of a case.

    Attributes:
        route: that took the steps: after its comparison with the eager step, so that another name is a disagreement.
        rate: replica-steps a second.
        setup: seconds until the stack was on the device.
        first: seconds of the first step, with compilation and comparison.
        evaluation: seconds of one measurement on the test set.
        memory: GiB of the device at most.
    """

    route: str
    rate: float
    setup: float
    first: float
    evaluation: float
    memory: float


def cases(scale: int = 1) -> Iterator[Case]:
    """The cases; ``scale`` divides the replicas."""
    mlp, deep = partial(MLP, width=64), partial(MLP, width=64, depth=3)
    transformer = partial(Transformer, width=256, depth=2, heads=8, readout="mean")
    parity = Parity(20, 6)
    for route in ("warp", "triton", "autograd"):
        for replicas in (1024, 65_536):
            yield Case("fresh data", Online(parity), mlp, route, max(1, replicas // scale))
    for reuse in ("epochs", "replacement"):
        yield Case(f"subset, {reuse}", Subset(parity, 16_384, reuse), mlp, "warp", max(1, 65_536 // scale))
    for route in ("warp", "autograd"):
        yield Case("depth 3", Online(parity), deep, route, max(1, 16_384 // scale))
        for replicas in (1, 64):
            yield Case("population", FullBatch(parity, "population"), mlp, route, max(1, replicas // scale))
        yield Case("population, depth 3", FullBatch(parity, "population"), deep, route, max(1, 64 // scale))
        yield Case("full batch", FullBatch(parity, 16_384), mlp, route, max(1, 1024 // scale))
    yield Case("transformer", Online(parity, batch_size=32), transformer, None, max(1, 64 // scale), AdamW(1e-4))


def timed(case: Case, device: torch.device, seconds: float = _SECONDS) -> Timed:
    """Make the stack of a case on a device, and time its steps for some seconds."""
    case.data.schedule(STEPS, STEPS)
    training = TrainingSettings(case.network, "logistic", case.rule, Replicas(case.replicas))
    began = time.perf_counter()
    execution = ExecutionSettings(compile="always" if device.type == "cuda" else "never", route=case.route)
    stack = ReplicaStack(case.data, training, execution).to(device)
    setup = _since(began, device)
    began = time.perf_counter()
    stack.train_steps(0, 1)
    first = _since(began, device)
    done, count, began = 1, 1, time.perf_counter()
    while _since(began, device) < seconds:
        stack.train_steps(done, count)
        done += count
        count = min(2 * count, STEPS - done - 1)
    rate = (done - 1) * case.replicas / _since(began, device)
    stack.test_sums()  # compiles
    began = time.perf_counter()
    stack.test_sums()
    evaluation = _since(began, device)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return Timed(stack.computed_by()["steps"], rate, setup, first, evaluation, memory)


def _since(began: float, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}\n")
    columns = ["fit", "replicas", "asked for", "steps by", "M replica-steps/s"]
    columns += ["set-up, s", "first step, s", "test set, s", "GiB"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for case in cases():
        torch.cuda.reset_peak_memory_stats(device)
        try:
            found = timed(case, device)
        except (SettingError, torch.OutOfMemoryError) as error:
            print(f"| {case.name} | {case.replicas:,} | {case.route} | {' '.join(str(error).split())[:80]} | | | | | |")
            continue
        numbers = (found.rate / 1e6, found.setup, found.first, found.evaluation, found.memory)
        cells = " | ".join(f"{number:.3g}" for number in numbers)
        print(f"| {case.name} | {case.replicas:,} | {case.route or 'any'} | {found.route} | {cells} |")
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
