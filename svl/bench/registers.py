"""Registers and instructions of the CUDA kernel, from the compiler and the disassembler: no GPU is needed.

``python -m svl.bench.registers`` prints the table of ``docs/gpu.md``. It needs ``nvcc`` (CUDA 12.8 or later), and
``nvdisasm`` of the same or the one that Triton brings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from svl.training.routes.warp import SOURCE, tiles

SHAPES = ((20, 16), (20, 32), (20, 64), (23, 64), (10, 64))  # inputs and units
BATCH, ROUND = 128, 32
ISSUE_RATE = 132 * 4 * 1.755e9  # instructions of a warp that an H100 issues a second, at most


class Counts(NamedTuple):
    """What one variant of the kernel takes.

    Attributes:
        registers: of a thread.
        spilled: bytes of a thread that are kept in memory instead.
        of_round: instructions for 32 examples.
        of_step: instructions of a step besides its rounds, at most: branches are counted as if both sides were taken.
    """

    registers: int
    spilled: int
    of_round: int
    of_step: int

    def each_step(self, batch: int) -> int:
        """Instructions of a step on so many examples."""
        return -(-batch // ROUND) * self.of_round + self.of_step


def counts(dim: int, width: int, momentum: bool = False, capability: str = "sm_90") -> Counts:
    """Compile the kernel and count.

    Args:
        dim: inputs.
        width: units.
        momentum: whether velocities are read and written.
        capability: of the GPU.
    """
    defines = {"DIM": dim, "WIDTH": width, "BIAS": 1, "LOSS": 0, "MOMENTUM": int(momentum), **tiles()}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "kernel.cubin")
        command = ["nvcc", f"-arch={capability}", "-cubin", "-std=c++17", "-Xptxas", "-v", str(SOURCE), "-o", str(made)]
        command += [f"-D{name}={value}" for name, value in defines.items()]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        listing = subprocess.run([_disassembler(), "-c", str(made)], capture_output=True, text=True, check=True).stdout
    (registers,), (spilled,) = re.findall(r"Used (\d+) registers", told), re.findall(r"(\d+) bytes spill stores", told)
    return Counts(int(registers), int(spilled), *_loops(listing))


def _loops(listing: str) -> tuple[int, int]:
    """Instructions of the innermost loop with matrix products, and of the loop around it without that."""
    places: dict[str, int] = {}
    branches: list[tuple[int, str]] = []
    products: list[int] = []
    count = 0
    for line in listing.splitlines():
        label = re.match(r"^(\.L_x_\d+):", line)
        if label:
            places[label[1]] = count
        elif re.match(r"^\s+/\*[0-9a-f]{4,}\*/", line):
            target = re.search(r"BRA `\((\.L_x_\d+)\)", line)
            branches += [(count, target[1])] if target else []
            products += [count] if "HMMA" in line else []
            count += 1
    loops = sorted(
        (end + 1 - places[target], places[target], end + 1)
        for end, target in branches
        if places.get(target, count) <= end and places[target] <= products[0] and products[-1] <= end
    )
    (inner, _, _), (outer, _, _) = loops[0], loops[1]
    return inner, outer - inner


def _disassembler() -> str:
    """The path of ``nvdisasm``."""
    found = shutil.which("nvdisasm")
    spec = find_spec("triton")
    if found or spec is None or spec.origin is None:
        return found or "nvdisasm"
    return str(Path(spec.origin).parent / "backends" / "nvidia" / "bin" / "nvdisasm")


def main() -> None:
    """Print the table."""
    print("| network | momentum | registers | bytes spilled | instructions a step of 128 | limit, M steps/s |")
    print("|---|---|---|---|---|---|")
    for dim, width in SHAPES:
        for momentum in (False, True):
            found = counts(dim, width, momentum)
            limit = ISSUE_RATE / found.each_step(BATCH) / 1e6
            name = f"{dim}-{width}-1"
            kind = "yes" if momentum else "no"
            print(
                f"| {name} | {kind} | {found.registers} | {found.spilled} | {found.each_step(BATCH):,} | {limit:.0f} |"
            )


if __name__ == "__main__":
    main()
