"""The C++ routes on each instruction set that the machine runs: most users' processors are narrower than the widest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from svl import native
from svl.bench import peers
from svl.bench.section import Section, spread
from svl.models import MLP
from svl.optim import AdamW

REPLICAS = 256
# What the processor must have for each level, besides what every x86-64 processor of the last 15 years has.
LEVELS: Mapping[str, set[str]] = {
    "x86-64-v2": set(),
    "x86-64-v3": {"avx2", "fma", "bmi2"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512vl"},
}
NAMES = {"x86-64-v2": "SSE", "x86-64-v3": "AVX2", "x86-64-v4": "AVX-512"}


def measure(rounds: int) -> list[Section]:
    """The loop and the kernel on every instruction set, in the same rounds."""
    kinds: dict[str, dict[str, Any]] = {
        "loop": {},
        "loop, AdamW": {"rule": AdamW(1e-3)},
        "loop, width 256": {"network": partial(MLP, width=256)},
        "loop, depth 3": {"network": partial(MLP, width=peers.WIDTH, depth=3)},
        "kernel called at each step": {"is_stepwise": True},
    }
    levels = supported()
    contenders = {
        f"{kind} {level}": built_for(level, peers.stack(REPLICAS, 200, compile="always", **settings))
        for kind, settings in kinds.items()
        for level in levels
    }
    rates = peers.in_rounds(contenders, rounds)
    rows = [[kind, *(spread(rates[f"{kind} {level}"], "{:,.0f}") for level in levels)] for kind in kinds]
    text = f"""(20, 6)-parity, MLP 20-64-1, logistic loss, SGD, batch 128, {REPLICAS} replicas: replica-steps a second
of the C++ routes built for each instruction set that this machine runs (`-march=`), measured in the same rounds."""
    return [Section("Instruction sets", text, ("", *(f"{NAMES[level]} ({level})" for level in levels)), rows)]


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
