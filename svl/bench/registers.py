"""Registers and instructions of the CUDA kernels, from the compiler and the disassembler: no GPU is needed.

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

from svl.native.cuda import kernel_path
from svl.training.routes.warp import EPOCHS, FRESH, Shape
from svl.training.routes.warp_full_batch import SUMMERS

SHAPES = (
    *(Shape(20, 16, 1), Shape(20, 32, 1), Shape(20, 64, 1), Shape(23, 64, 1), Shape(10, 64, 1)),
    *(Shape(20, 16, 1, 3), Shape(20, 32, 1, 3), Shape(20, 64, 1, 3)),
)
BATCH, ROUND, POPULATION = 128, 32, 2**20
# What an H100 does a second at most: instructions of a warp that it issues, and products of m16n8k8 in tf32.
ISSUE_RATE, PRODUCT_RATE = 132 * 4 * 1.755e9, 494.7e12 / (2 * 16 * 8 * 8)


class Counts(NamedTuple):
    """What one variant of the kernel takes.

    Attributes:
        registers: of a thread.
        spilled: bytes of a thread that are kept in memory instead.
        warps: that train one replica.
        of_round: instructions of a warp for 32 examples.
        of_step: its instructions of a step besides its rounds, at most: branches are counted as if both sides were
            taken.
        products: of matrices on tensor cores, of a warp for 32 examples.
    """

    registers: int
    spilled: int
    warps: int
    of_round: int
    of_step: int
    products: int

    def each_step(self, batch: int) -> int:
        """Instructions of all warps for a step of one replica on so many examples."""
        return self.warps * (-(-batch // ROUND) * self.of_round + self.of_step)

    def limit(self, batch: int) -> float:
        """Steps of replicas a second of an H100, if it did nothing but issue instructions, or multiply matrices."""
        products = self.warps * -(-batch // ROUND) * self.products
        return min(ISSUE_RATE / self.each_step(batch), PRODUCT_RATE / products)


def counts(
    shape: Shape, momentum: bool = False, draw: int = FRESH, file: str = "steps", capability: str = "sm_90"
) -> Counts:
    """Compile a kernel and count.

    Args:
        shape: of the network.
        momentum: whether velocities are read and written.
        draw: where the examples come from.
        file: ``steps``, or ``slices`` for the kernels over full batches.
        capability: of the GPU.
    """
    defines = {**shape.defines, "LOSS": 0, "MOMENTUM": int(momentum), "DRAW": draw, "SUMMERS": SUMMERS}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "kernel.cubin")
        command = ["nvcc", f"-arch={capability}", "-cubin", "-std=c++17", "-Xptxas", "-v"]
        command += [str(kernel_path(file)), "-o", str(made)]
        command += [f"-D{name}={value}" for name, value in defines.items()]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        listing = subprocess.run([_disassembler(), "-c", str(made)], capture_output=True, text=True, check=True).stdout
    registers, spilled = (
        max(map(int, re.findall(word, told))) for word in (r"Used (\d+) registers", r"(\d+) bytes spill stores")
    )
    return Counts(registers, spilled, shape.team, *_loops(listing))


def _loops(listing: str) -> tuple[int, int, int]:
    """Instructions of the innermost loop with all matrix products, those around it, and the products.

    Around it is a loop over steps or, where there is none, the rest of the code.
    """
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
    inner, outer = loops[0][0], loops[1][0] if len(loops) > 1 else count
    return inner, outer - inner, len(products)


def _disassembler() -> str:
    """The path of ``nvdisasm``."""
    found = shutil.which("nvdisasm")
    spec = find_spec("triton")
    if found or spec is None or spec.origin is None:
        return found or "nvdisasm"
    return str(Path(spec.origin).parent / "backends" / "nvidia" / "bin" / "nvdisasm")


def main() -> None:
    """Print the table."""
    columns = ["network", "momentum", "examples", "registers", "bytes spilled"]
    columns += ["instructions a step of 128", "limit, M steps/s"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for shape in SHAPES:
        for momentum, draw in ((False, FRESH), (True, FRESH), (False, EPOCHS)):
            found = counts(shape, momentum, draw)
            name = "-".join(map(str, (shape.dim, *[shape.width] * (shape.depth - 1), 1)))
            kinds = f"{'yes' if momentum else 'no'} | {'subset' if draw == EPOCHS else 'fresh'}"
            print(
                f"| {name} | {kinds} | {found.registers} | {found.spilled} | {found.each_step(BATCH):,} "
                f"| {found.limit(BATCH) / 1e6:.0f} |"
            )
    columns = ["network", "registers", "bytes spilled", "instructions a step of 2^20 inputs, M", "limit, us a step"]
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for shape in (Shape(20, 64, 1), Shape(20, 64, 1, 3)):
        found = counts(shape, file="slices")
        name = "-".join(map(str, (shape.dim, *[shape.width] * (shape.depth - 1), 1)))
        millions, limit = found.each_step(POPULATION) / 1e6, 1e6 / found.limit(POPULATION)
        print(f"| {name} | {found.registers} | {found.spilled} | {millions:.0f} | {limit:.0f} |")


if __name__ == "__main__":
    main()
