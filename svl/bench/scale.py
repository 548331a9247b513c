"""The time of a replica-step against the number of replicas, width, depth, batch size and size of the subset."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from svl.bench import peers
from svl.bench.section import Section, spread
from svl.data import Online, Subset
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.results.style import GREY, RAMP
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

REPLICAS = 64
AXES: dict[str, tuple[int, ...]] = {
    "replicas": (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536),
    "width": (16, 32, 64, 128, 256, 512, 1024),
    "depth": (2, 3, 4, 6, 8),
    "batch": (32, 64, 128, 256, 512, 1024),
    "size": (2**8, 2**16, 2**24, 2**32, 2**40),
}
# So that there are 2^40 different inputs.
LARGE_DIM = 40
FIGURE = Path("docs") / "benchmark.png"

Curve = dict[int, list[float]]


def measure(rounds: int) -> list[Section]:
    """A section for each axis, and one figure of all."""
    curves = {axis: curve(axis, values, rounds) for axis, values in AXES.items()}
    memory = {size: in_a_process(size) for size in AXES["size"]}
    draw(curves).savefig(FIGURE, dpi=150)
    return sections(curves, memory)


def curve(axis: str, values: Sequence[int], rounds: int) -> Curve:
    """Microseconds of a replica-step at each value, measured once a round."""
    rates = peers.in_rounds({str(value): peer(axis, value) for value in values}, rounds)
    return {value: [1e6 / rate for rate in rates[str(value)]] for value in values}


def peer(axis: str, value: int) -> peers.Peer:
    """The compiled stack at one point of an axis; other settings as in the table of engines, ``REPLICAS`` replicas."""
    chosen = {axis: value}
    network = partial(MLP, width=chosen.get("width", peers.WIDTH), depth=chosen.get("depth", 2))
    data = (
        subset(value)
        if axis == "size"
        else Online(Parity(peers.DIM, peers.DEGREE), batch_size=chosen.get("batch", peers.BATCH))
    )
    return peers.stack(chosen.get("replicas", REPLICAS), None, data, network, compile="always")


def subset(size: int) -> Subset:
    """Reshuffled epochs of the first ``size`` examples."""
    return Subset(Parity(LARGE_DIM, peers.DEGREE), size, batch_size=peers.BATCH)


def peak(size: int) -> float:
    """Peak memory of this process in megabytes, after some steps on a subset."""
    data = subset(size)
    data.schedule(10**9, 1)
    trained = ReplicaStack(
        data,
        TrainingSettings(peers.narrow_mlp, "logistic", SGD(1.0), Replicas(REPLICAS)),
        ExecutionSettings(compile="never"),
    )
    trained.train_steps(0, 4)
    status = Path("/proc/self/status")
    if status.exists():
        # The peak that the resource module reports is inherited from the parent process.
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def in_a_process(size: int) -> float:
    """:func:`peak` in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak, size).result()


def sections(curves: Mapping[str, Curve], memory: Mapping[int, float]) -> list[Section]:
    """The curves as tables."""
    common = "Microseconds of wall time for a step of one replica; the default route"
    texts = {
        "replicas": f"{common}.\n\n![Time of a replica-step against the sizes of the tables below](benchmark.png)",
        "width": f"{common}, {REPLICAS} replicas.",
        "depth": f"{common}, {REPLICAS} replicas; depth counts layers of weights.",
        "batch": f"{common}, {REPLICAS} replicas.",
        "size": f"{common}, {REPLICAS} replicas, ({LARGE_DIM}, {peers.DEGREE})-parity, a subset of N examples in\n"
        "reshuffled epochs; memory is the most that a process of its own held in eager mode, all of Python included.",
    }
    result = []
    for axis, points in curves.items():
        rows = [[_name(axis, value), spread(times)] for value, times in points.items()]
        columns: tuple[str, ...] = ({"size": "N"}.get(axis, axis), "µs")
        if axis == "size":
            columns = (*columns, "peak memory, MB")
            rows = [[*row, f"{memory[value]:.0f}"] for row, value in zip(rows, points, strict=True)]
        result.append(Section(f"Scale: {axis}", texts[axis], columns, rows))
    return result


def draw(curves: Mapping[str, Curve]) -> Figure:
    """A figure with a panel for each axis; whiskers reach from the fastest to the slowest round."""
    figure = Figure(figsize=(2.6 * len(curves), 2.8), layout="constrained")
    panels: Any = figure.subplots(1, len(curves), squeeze=False, sharey=True)
    for axes, (axis, points) in zip(panels[0], curves.items(), strict=True):
        middle = [statistics.median(times) for times in points.values()]
        whiskers = [
            [m - min(times) for m, times in zip(middle, points.values(), strict=True)],
            [max(times) - m for m, times in zip(middle, points.values(), strict=True)],
        ]
        axes.errorbar(
            [*points], middle, whiskers, color=RAMP(1.0), ecolor=GREY, marker="o", markersize=3, linewidth=1.2
        )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("size of the subset" if axis == "size" else axis)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0, 0].set_ylabel("µs per replica-step")
    return figure


def _name(axis: str, value: int) -> str:
    return f"2^{value.bit_length() - 1}" if axis == "size" else f"{value:,}"
