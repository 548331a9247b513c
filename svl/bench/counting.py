"""Instructions of a replica-step of the C++ loop: a number that does not depend on what else the machine does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from svl.bench.section import Section
from svl.compat.torch import cpp_compiler

PROCESSOR = "x86-64-v3"  # Valgrind knows no AVX-512
COMPILER = "g++ 12"
_FLAGS = ("-O3", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
_PROGRAM = Path(__file__).with_name("steps.cpp")
_FEW, _MANY = 4, 24


@dataclass(frozen=True)
class Counted:
    """A kind of fit whose steps are counted.

    Args:
        activation: of the hidden layers.
        rule: the optimizer.
        layers: of weights.
        dim: coordinates of an input.
        signs: whether these are -1 or 1.
        instructions: of a replica-step, in thousands, when they were last recorded, by ``COMPILER``.
        examples: of a step.
        is_set: whether these are the same at each step, a full batch.
    """

    activation: str
    rule: str
    layers: int
    dim: int
    signs: bool
    instructions: float
    examples: int = 128
    is_set: bool = False


KINDS: Mapping[str, Counted] = {
    "(20, 6)-parity, SGD": Counted("RELU", "SGD", 2, 20, True, 53.3),
    "(20, 6)-parity, AdamW": Counted("RELU", "ADAMW", 2, 20, True, 58.2),
    "(20, 6)-parity, SGD, full batches of 16,384": Counted("RELU", "SGD", 2, 20, True, 3011.8, 2**14, True),
    "(20, 6)-parity, depth 3": Counted("RELU", "SGD", 3, 20, True, 618.9),
    "Gaussian inputs, d = 40, GELU": Counted("GELU", "SGD", 2, 40, False, 285.2),
}
"""Networks of width 64 with one output, logistic loss, batch 128 if it is not a full one."""


def measure(rounds: int) -> list[Section]:
    """The section of instructions; none where they cannot be counted."""
    if obstacle():
        return []
    rows = [[name, f"{thousands(kind):.1f}", f"{kind.instructions:.1f}"] for name, kind in KINDS.items()]
    text = f"""Of the C++ loop, width 64, batch 128 if it is not a full one, built for `-march={PROCESSOR}` and counted
by Valgrind's callgrind, without making the examples: thousands of instructions a replica-step. A test fails where a
number is more than a tenth above the recorded one, which is of {COMPILER}."""
    return [Section("Instructions", text, ("", "now", "recorded"), rows)]


def obstacle() -> str | None:
    """Why instructions cannot be counted and compared here, or ``None`` if they can."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    try:
        version = subprocess.run([cpp_compiler(), "-dumpfullversion"], capture_output=True, text=True).stdout
        name = subprocess.run([cpp_compiler(), "--version"], capture_output=True, text=True).stdout
    except Exception:  # the compiler search raises errors of several unrelated kinds
        return "there is no C++ compiler"
    if not version.startswith(COMPILER.split()[1] + ".") or "Free Software Foundation" not in name:
        return f"the recorded numbers are those of {COMPILER}"
    return None if os.uname().machine == "x86_64" else f"it counts those of {PROCESSOR}"


def thousands(kind: Counted) -> float:
    """Thousands of instructions of a replica-step."""
    shallow = int(kind.activation == "RELU" and kind.layers == 2 and kind.signs) * (1 + kind.is_set)
    macros = {"ACTIVATION": kind.activation, "RULE": kind.rule, "SHALLOW": shallow}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "steps"
        defined = [f"-DSVL_{name}={value}" for name, value in macros.items()]
        subprocess.run(
            [cpp_compiler(), *_FLAGS, f"-march={PROCESSOR}", "-fopenmp", *defined, str(_PROGRAM), "-o", program],
            check=True,
        )
        few, many = (_counted(program, kind, steps, Path(folder)) for steps in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW) / 1000


def _counted(program: Path, kind: Counted, steps: int, folder: Path) -> int:
    words = map(str, (steps, kind.layers, 64, kind.dim, kind.examples, int(kind.signs)))
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'out'}", program, *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None
    return int(found.group(1))
