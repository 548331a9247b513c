"""``make bench``: runs all benchmarks, prints the results and writes ``docs/benchmark.md``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from svl.bench import counting, engines, instructions, overhead, population, scale, share, startup, transformer
from svl.bench.section import Section
from svl.console import console

ROUNDS = 5
PAGE = Path("docs") / "benchmark.md"
# In the order of the page; each takes the number of rounds and returns its sections.
MEASUREMENTS = (
    engines.measure,
    instructions.measure,
    counting.measure,
    population.measure,
    transformer.measure,
    scale.measure,
    startup.measure,
    share.measure,
    overhead.measure,
)


def main() -> None:
    """Run all benchmarks, one after another."""
    sections = []
    for measure in MEASUREMENTS:
        for section in measure(ROUNDS):
            console().print(section.table())
            sections.append(section)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(sections), encoding="utf-8")
    print(f"written to {PAGE}")


def page(sections: Sequence[Section]) -> str:
    """The benchmark page in Markdown."""
    tables = "\n".join(section.markdown() for section in sections)
    return f"""# Benchmark

Written by `make bench`. Medians of up to {ROUNDS} rounds, in each of which every line of a table is measured once, with
the smallest and the largest in brackets; ratios are taken within a round.

{platform.platform()}, {_processor()}, {torch.get_num_threads()} cores,
Python {platform.python_version()}, torch {torch.__version__}.

{tables}
Not measured: any GPU. [gpu.md](gpu.md) says what is checked without one, and `python -m svl.bench.gpu` measures one.
`model.precision: bf16-mixed` is checked on a CPU.
"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    main()
