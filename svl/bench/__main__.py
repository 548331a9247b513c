"""``make bench``: rates and ratios, measured side by side, on the terminal and in ``docs/benchmark.md``."""

from __future__ import annotations

import platform
import statistics
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from svl.bench import overhead, peers
from svl.bench.overhead import Overhead

REPLICAS, ROUNDS = 256, 7
PAGE = Path("docs") / "benchmark.md"


def main() -> None:
    """Measure every peer once a round, so that what else the machine does falls on all of them alike."""
    contenders: dict[str, peers.Peer | None] = {
        "plain PyTorch loop, one network": peers.plain_loop(),
        "svl, eager stack": peers.stack(REPLICAS, 20, compile="never"),
        "svl, compiled stack": peers.stack(REPLICAS, 200, compile="always", fused=False),
        "svl, compiled stack with the C++ kernel": peers.stack(REPLICAS, 400, compile="always"),
        "JAX jit(vmap(scan))": peers.jax_scan(REPLICAS, 200),
    }
    running = {name: peer for name, peer in contenders.items() if peer is not None}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in track(range(ROUNDS), "measuring"):
        for name, peer in running.items():
            rates[name].append(peer())
    lines = _lines(rates, list(contenders))
    table = Table("", "replica-steps / s", "times plain loop", "times JAX", title=f"R = {REPLICAS}, {ROUNDS} rounds")
    for line in lines:
        table.add_row(*line)
    Console().print(table)
    overheads = _overheads(overhead.measure(ROUNDS))
    table = Table("", "first, ms", "later, ms", "% of the steps", title=f"callbacks, {ROUNDS} rounds")
    for row in overheads:
        table.add_row(*row)
    Console().print(table)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(_page(lines, overheads))
    print(f"written to {PAGE}")


def _lines(rates: dict[str, list[float]], names: list[str]) -> list[tuple[str, str, str, str]]:
    plain, jax = rates[names[0]], rates.get(names[-1])
    return [
        (
            name,
            _spread(rates[name], "{:,.0f}"),
            _ratio(rates[name], plain),
            _ratio(rates[name], jax) if jax else "not measured",
        )
        for name in names
        if name in rates
    ]


def _overheads(measured: list[Overhead]) -> list[tuple[str, str, str, str]]:
    return [
        (
            f"`{one.name}`" + (f", at every {one.interval}th measurement" if one.interval > 1 else ""),
            f"{1e3 * one.first:.3g}",
            _spread([1e3 * seconds for seconds in one.seconds], "{:.3g}"),
            _spread([100 * share for share in one.shares], "{:.2g}"),
        )
        for one in measured
    ]


def _ratio(mine: list[float], theirs: list[float]) -> str:
    return _spread([a / b for a, b in zip(mine, theirs, strict=True)], "{:.3g}")


def _spread(values: list[float], form: str) -> str:
    middle, low, high = (form.format(v) for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}, {high}]"


def _rows(lines: list[tuple[str, str, str, str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(lines: list[tuple[str, str, str, str]], overheads: list[tuple[str, str, str, str]]) -> str:
    return f"""# Benchmark

Written by `make bench`. (20, 6)-parity, MLP 20-64-1, logistic loss, SGD, batch 128, data generated; {REPLICAS} replicas
where there is a stack. Median of {ROUNDS} rounds, in each of which every line is measured once, with the smallest and
the largest in brackets; the ratios are taken within a round.

{platform.platform()}, {_processor()}, {torch.get_num_threads()} cores,
Python {platform.python_version()}, torch {torch.__version__}.

| | replica-steps / s | times plain loop | times JAX |
|---|---|---|---|
{_rows(lines)}

What a callback takes at its default settings, at the first measurement and at later ones, and the share of the latter
in the time of the steps between two measurements (`trainer.log_every_n_steps`: {overhead.STEPS}, of the Transformer
{overhead.TRANSFORMER_STEPS}); of
`GradientSimilarity`, in that of the steps between two that it takes. The network above with {overhead.REPLICAS}
replicas, each with {overhead.SIZE} examples of its own; for `QueryKey` the Transformer of
`configs/parity/transformer.yaml` with {overhead.TRANSFORMER_REPLICAS} replicas.

| callback | first, ms | later, ms | % of the steps |
|---|---|---|---|
{_rows(overheads)}

Not measured: any GPU.
"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    main()
