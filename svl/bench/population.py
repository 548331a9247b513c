"""Full batches of the hypercube's population and of a subset, compared with autograd over all inputs at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from svl.bench.peers import DEGREE, DIM, LR, WIDTH
from svl.bench.section import Section, spread
from svl.data import FullBatch
from svl.data.size import POPULATION, Size
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.network import Build

SUBSET, REPLICAS = 2**14, 8
# Examples of autograd in a round, at least some tens of steps: a tenth of a second or more for each way. The threads of
# torch that computed the way before wait for more for some milliseconds, on the cores that a shorter way would need.
EXAMPLES, LEAST_STEPS = 2**18, 48

_SIDE = 1024  # side of matrices that torch multiplies at full speed
_WATCHED_SECONDS = 0.3  # shortest time for which memory is watched

_LIMIT = """What bounds the subset's step, in AVX2's vectors of 8 floats: an example that shares its first 10
coordinates with its neighbours loads 2 x 8 vectors of the tables, stores 8 of activations, and loads and stores 2 x 8
of sums: with all else 184 instructions, where an example of its own takes 416. A core of Zen 4 makes one of the 24
stores in a cycle, so that 24 cycles are the least; 45 to 55 were taken beside other work. Tried without gain: bits in
place of kept activations (3 % with AVX-512), strips of 16 to 64 examples, half of the units at once, one exponential
for the loss and its derivative, examples in the order of all coordinates instead of the first 10."""

_Step = Callable[[int], None]


@dataclass
class Row:
    """Time and memory of a step.

    Attributes:
        name: name of the row.
        seconds: seconds for a step of one replica, for each round.
        ratios: seconds of naive autograd divided by these, within a round.
        memory: peak memory of a step in bytes, in addition to the stack; ``None`` if the system does not report it.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    memory: int | None = None


def measure(rounds: int) -> list[Section]:
    """The section of full batches."""
    rows = compare(rounds)
    cells = [
        (
            row.name,
            spread([1e3 * seconds for seconds in row.seconds]),
            spread(row.ratios),
            "" if row.memory is None else f"{row.memory / 2**20:.0f}",
        )
        for row in rows
    ]
    text = (
        f"({DIM}, {DEGREE})-parity, networks as above, a step of full-batch gradient descent for each replica: on all\n"
        f"2^{DIM} inputs, and on a subset. Autograd is one graph over all inputs, stored. Memory is the most that the\n"
        "process held during steps in addition to what it keeps. *Its products alone*: as many multiplications as\n"
        f"three products of {WIDTH} x {WIDTH} weights and all inputs have, by torch in matrices of {_SIDE} x {_SIDE}.\n"
        "All are in float32 and may use all cores: autograd and the population's kernel divide each operation between\n"
        "them, and the loop, which trains on the subset, its replicas, so that R = 1 has one core.\n\n"
        f"{_LIMIT}"
    )
    return [Section("Full batches", text, ("", "ms / replica-step", "times autograd", "MiB more"), cells)]


def compare(rounds: int, dim: int = DIM, subset: int = SUBSET, **engine: Any) -> list[Row]:
    """All ways, each measured once a round; for each size the first is naive autograd, to which the ratios refer.

    Args:
        rounds: number of repetitions.
        dim: dimension of the hypercube.
        subset: number of examples in the subset.
        **engine: settings of the replica stack.
    """
    task, rows = Parity(dim, min(DEGREE, dim)), []
    one_hidden, counts = partial(MLP, width=WIDTH), (1, REPLICAS)
    deep = partial(one_hidden, depth=3)
    cases: list[tuple[str, Size, int, Build, tuple[int, ...]]] = [
        ("population", POPULATION, 2**dim, one_hidden, counts),
        ("population, depth 3", POPULATION, 2**dim, deep, counts[1:]),
        ("population, GELU", POPULATION, 2**dim, partial(one_hidden, activation="gelu"), counts[1:]),
        (f"subset of {subset}", subset, subset, one_hidden, counts),
    ]
    for label, size, count, network, stacks in cases:
        steps = -(-EXAMPLES // count) if size == POPULATION else LEAST_STEPS
        ways = [(f"{label}: autograd", 1, naive(task, count, network), steps)]
        for replicas in stacks:
            steps = -(-EXAMPLES * 64 // (count * replicas))
            run = ours(task, size, replicas, network, **engine)
            ways.append((f"{label}: svl, R = {replicas}", replicas, run, steps))
        if network is deep:
            ways.append((f"{label}: its products alone", 1, products(count), 1))
        measured = [Row(name) for name, *_ in ways]
        for _ in range(rounds):
            for row, (_, replicas, run, steps) in zip(measured, ways, strict=True):
                began = time.perf_counter()
                run(steps)
                row.seconds.append((time.perf_counter() - began) / (steps * replicas))
                row.ratios.append(measured[0].seconds[-1] / row.seconds[-1])
        for row, (_, _, run, _) in zip(measured, ways, strict=True):
            row.memory = _memory(run)
        rows += measured
    return rows


def naive(task: Parity, count: int, build: Build) -> _Step:
    """A plain network with ``torch.optim`` and one autograd graph over the first ``count`` inputs of the population."""
    network = build((task.dim,), 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    inputs, targets = task.population(Replicas(1).key(), torch.arange(count)[None])
    x, y = inputs[0], targets[0]

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.softplus(-y * network(x)[:, 0]).mean().backward()
            optimizer.step()

    run(1)
    return run


def products(count: int) -> _Step:
    """The matrix products that a second hidden layer needs, at torch's speed for large matrices."""
    a, b, c = torch.randn(3, _SIDE, _SIDE)
    times = -(-3 * count * WIDTH**2 // _SIDE**3)

    def run(steps: int) -> None:
        for _ in range(steps * times):
            torch.mm(a, b, out=c)

    run(1)
    return run


def ours(task: Parity, size: Size, replicas: int, build: Build, **engine: Any) -> _Step:
    """The replica stack on full batches of a size."""
    data = FullBatch(task, size)
    data.schedule(10**9, 1)
    engine = {"compile": "always", **engine}
    stack = ReplicaStack(
        data, TrainingSettings(build, "logistic", SGD(float(LR)), Replicas(replicas)), ExecutionSettings(**engine)
    )
    position = 0

    def run(steps: int) -> None:
        nonlocal position
        stack.train_steps(position, steps)
        position += steps

    run(1)
    return run


def _memory(run: _Step) -> int | None:
    """Peak memory of the process during steps minus its memory before; Linux only."""
    try:
        before = most = _resident()
    except OSError:
        return None
    is_over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not is_over.wait(0.001):
            most = max(most, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    end = time.perf_counter() + _WATCHED_SECONDS
    while time.perf_counter() < end:
        run(1)
    is_over.set()
    watcher.join()
    return most - before


def _resident() -> int:
    """Resident bytes, counted page by page: the error of ``/proc/self/status`` can exceed the memory of a step."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Rss:")).split()[1])
