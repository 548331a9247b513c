"""The C++ routes on each instruction set that the machine runs, compared with JAX.

Most users' processors are narrower than the widest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from svl import native
from svl.bench import peers
from svl.bench.section import Section, ratio, spread
from svl.data import Online
from svl.models import MLP
from svl.optim import SGD, AdamW
from svl.tasks import Parity, SingleIndex

REPLICAS = 256
SLICES = 3  # of a round: a contender takes a few tenths of a second, in which other work can double its time
# What the processor must have for each level, besides what every x86-64 processor of the last 15 years has.
LEVELS: Mapping[str, set[str]] = {
    "x86-64-v2": set(),
    "x86-64-v3": {"avx2", "fma", "bmi2"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512vl"},
}
NAMES = {"x86-64-v2": "SSE", "x86-64-v3": "AVX2", "x86-64-v4": "AVX-512"}


@dataclass(frozen=True)
class Kind:
    """A kind of fit: settings of :func:`svl.bench.peers.stack`, and of JAX's peer if it has one.

    Attributes:
        settings: of the stack.
        jax: of the peer; ``None`` for none.
        steps: of one timing.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    jax: dict[str, Any] | None = None
    steps: int = 200


KINDS: Mapping[str, Kind] = {
    "loop": Kind({}, {}),
    "loop, AdamW": Kind({"rule": AdamW(1e-3)}, {"is_adamw": True, "lr": 1e-3}),
    "loop, width 256": Kind({"network": partial(MLP, width=256)}, {"width": 256}, 50),
    "loop, depth 3": Kind({"network": partial(MLP, width=peers.WIDTH, depth=3)}, {"depth": 3}, 50),
    "loop, (40, 6)": Kind({"data": Online(Parity(40, 6), batch_size=peers.BATCH)}, {"dim": 40}, 100),
    "loop, Gaussian inputs, d = 40, GELU": Kind(
        {
            "data": Online(SingleIndex(40), batch_size=peers.BATCH),
            "network": partial(MLP, width=peers.WIDTH, activation="gelu"),
            "rule": SGD(0.01),
            "loss": "squared",
        },
        {"dim": 40, "degree": 0, "lr": 0.01},
        20,
    ),
    "kernel called at each step": Kind({"is_stepwise": True}),
}


def measure(rounds: int) -> list[Section]:
    """The loop and the kernel on every instruction set and JAX, in the same rounds."""
    levels = supported()
    contenders: dict[str, peers.Peer | None] = {}
    for name, kind in KINDS.items():
        for level in levels:
            route = "kernel" if kind.settings.get("is_stepwise") else "loop"
            stack = peers.stack(REPLICAS, kind.steps, compile="always", route=route, **kind.settings)
            contenders[f"{name} {level}"] = built_for(level, stack)
        if kind.jax is not None:
            contenders[f"{name} JAX"] = peers.jax_scan(REPLICAS, max(10, kind.steps // 4), **kind.jax)
    rates = peers.in_rounds(contenders, rounds, SLICES)
    rows = []
    for name in KINDS:
        own, jax = [rates[f"{name} {level}"] for level in levels], rates.get(f"{name} JAX")
        of_jax = [spread(jax, "{:,.0f}"), *(ratio(rate, jax) for rate in own)] if jax else ["", *("" for _ in own)]
        rows.append([name, *(spread(rate, "{:,.0f}") for rate in own), *of_jax])
    text = f"""(20, 6)-parity, MLP 20-64-1, logistic loss, SGD, batch 128, data generated, {REPLICAS} replicas, except
for what a line names; Gaussian inputs are those of a single-index model with the link He_3 and the squared loss.
Replica-steps a second of the C++ routes built for each instruction set that this machine runs (`-march=`), and of JAX's
jit(vmap(scan)), measured in the same rounds, each of which takes the
median of {SLICES} passes through all of them."""
    columns = (
        "",
        *(f"{NAMES[level]} ({level})" for level in levels),
        "JAX",
        *(f"{NAMES[level]} / JAX" for level in levels),
    )
    return [Section("Instruction sets", text, columns, rows)]


def supported() -> list[str]:
    """The levels that this machine runs; none where it does not say so."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    flags = set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())
    return [level for level, needs in LEVELS.items() if needs <= flags] if flags else []


def built_for(level: str, run: peers.Peer) -> peers.Peer:
    """The same training by libraries that are built for a level."""
    made = partial(native.library, processor=(f"-march={level}",))

    def run_built() -> float:
        with mock.patch.object(native, "library", made):
            return run()

    run_built()  # builds the libraries
    return run_built
